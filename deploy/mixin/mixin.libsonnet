// The shipped rules and dashboards as a monitoring mixin: see docs/mixin.md.
local files = import 'rules.json';

local hasAlerts(group) = std.length([rule for rule in group.rules if std.objectHas(rule, 'alert')]) > 0;

local key(rule) = [rule.record, std.get(rule, 'labels', {})];

// Replace the rules that have the name and the labels of one of the thresholds.
local withThresholds(group, thresholds) =
  local own = [
    {
      record: 'sentry_stats:threshold:' + threshold.name,
      expr: 'vector(%.12g)' % threshold.value,
    } + (if std.objectHas(threshold, 'labels') then { labels: threshold.labels } else {})
    for threshold in thresholds
  ];
  local replaced(rule) = [each for each in own if key(each) == key(rule)] + [rule];
  local names = [rule.record for rule in group.rules];
  local unknown = [rule.record for rule in own if !std.member(names, rule.record)];
  assert unknown == [] : 'no threshold %s; there are %s' % [unknown, std.set(names)];
  group {
    rules: [replaced(rule)[0] for rule in group.rules]
           + [rule for rule in own if !std.member([key(each) for each in group.rules], key(rule))],
  };

// Replace the addresses that messages link to.
local withLinks(group, links) = group {
  rules: [
    if rule.record == 'sentry_stats:message:links' then rule { labels+: links } else rule
    for rule in group.rules
  ],
};

{
  _config+:: {
    // Addresses in messages, any of runbooks, grafana and sentry.
    links: {},
    // As in {name: 'warning_ratio', value: 0.1, labels: {outcome: 'limit', organization: 'acme'}}.
    thresholds: [],
  },

  local config = $._config,
  local groupsOf = {
    [name]: [
      if name == 'thresholds' then withThresholds(group, config.thresholds)
      else if name == 'messages' then withLinks(group, config.links)
      else group
      for group in files[name]
    ]
    for name in std.objectFields(files)
  },
  local groups = std.flattenArrays([groupsOf[name] for name in std.objectFields(files)]),

  prometheusAlerts+:: { groups: [group for group in groups if hasAlerts(group)] },
  prometheusRules+:: { groups: [group for group in groups if !hasAlerts(group)] },
  grafanaDashboards+:: {
    'sentry-stats-health.json': import '../grafana/dashboards/health.json',
    'sentry-stats-organization.json': import '../grafana/dashboards/organization.json',
    'sentry-stats-overview.json': import '../grafana/dashboards/overview.json',
    'sentry-stats-project.json': import '../grafana/dashboards/project.json',
    'sentry-stats-quotas.json': import '../grafana/dashboards/quotas.json',
  },
}
