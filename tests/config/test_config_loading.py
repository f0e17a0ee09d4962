"""The settings that a valid configuration is read as."""

from pathlib import Path

import pytest

from exporter.config import (
    BillingSettings,
    Config,
    ConfigError,
    Filter,
    Organization,
    Query,
    Teams,
    load,
    loads,
)
from exporter.sentry.token import Secret, TokenEnvironment, TokenFile, TokenLiteral

MINIMAL = """
organizations:
  - slug: acme
    token_env: SENTRY_TOKEN
"""

EVERYTHING = """
defaults:
  url: https://sentry.example/prefix/
  token_file: /run/secrets/sentry-token
  ca_file: /etc/ssl/private-ca.pem
  timeout: 45s
  max_concurrency: 3
  requests_per_second: 2.5
  max_response_size: 1MiB
  settle: 10m
  max_age: 1d
  project_label: id
organizations:
  - slug: acme
    queries:
      - name: projects
        groupBy: [project, category, outcome]
        filter:
          category: [error, transaction]
          outcome: [accepted, rate_limited]
          reason: key_quota
          project: [web, 4505123]
        field: [sum(quantity), sum(times_seen)]
        interval: 2h
        poll_interval: 5m
        lookback: 1d
        counters: false
"""


def organization(text: str) -> Organization:
    """Return the one organization of the configuration in ``text``."""
    (only,) = loads(text).organizations
    return only


def query(text: str) -> Query:
    """Return the query with the keys of ``text``, in flow style, and with a name."""
    head = "organizations: [{slug: acme, token_env: T, queries: [{name: q, "
    (only,) = organization(f"{head}{text}}}]}}]").queries
    return only


def warnings(text: str) -> list[str]:
    """Return the warnings of the configuration in ``text``, without the place."""
    return [f"{problem.path}: {problem.message}" for problem in loads(text).warnings]


class TestDefaults:
    """Keys that are left out, and keys under ``defaults``."""

    def test_minimal_file_has_every_default(self) -> None:
        """A slug and a token are enough."""
        outcomes = Query.model_construct(
            name="outcomes",
            group_by=("category", "outcome", "reason"),
            filter=Filter(),
            fields=("sum(quantity)",),
            interval=3600,
            poll_interval=3600,
            lookback=86400,
            counters=True,
        )
        acme = Organization.model_construct(
            slug="acme",
            name="acme",
            url="https://sentry.io",
            token_file=None,
            token_env="SENTRY_TOKEN",
            token_literal=None,
            ca_file=None,
            timeout=30,
            max_concurrency=4,
            requests_per_second=10,
            max_response_size=64 * 1024 * 1024,
            settle=300,
            max_age=3 * 3600,
            project_label="slug",
            teams=Teams(),
            queries=(outcomes,),
            billing=BillingSettings(),
            quotas=(),
        )

        assert Config((acme,), ()) == loads(MINIMAL)

    def test_every_key_is_read(self) -> None:
        """Each key of the file arrives in the unit of its field."""
        projects = Query.model_construct(
            name="projects",
            group_by=("project", "category", "outcome"),
            filter=Filter(
                category=("error", "transaction"),
                outcome=("accepted", "rate_limited"),
                reason="key_quota",
                project=("web", "4505123"),
            ),
            fields=("sum(quantity)", "sum(times_seen)"),
            interval=7200,
            poll_interval=300,
            lookback=86400,
            counters=False,
        )
        acme = Organization.model_construct(
            slug="acme",
            name="acme",
            url="https://sentry.example/prefix",
            token_file=Path("/run/secrets/sentry-token"),
            token_env=None,
            token_literal=None,
            ca_file=Path("/etc/ssl/private-ca.pem"),
            timeout=45,
            max_concurrency=3,
            requests_per_second=2.5,
            max_response_size=1024 * 1024,
            settle=600,
            max_age=86400,
            project_label="id",
            teams=Teams(),
            queries=(projects,),
            billing=BillingSettings(),
            quotas=(),
        )

        assert Config((acme,), ()) == loads(EVERYTHING)

    def test_organization_wins_over_defaults(self) -> None:
        """A key on the organization replaces the default, and only that one."""
        acme = organization(
            "defaults: {token_env: T, timeout: 10s, settle: 1m}\n"
            "organizations: [{slug: acme, timeout: 20s}]"
        )

        assert (acme.timeout, acme.settle) == (20, 60)

    @pytest.mark.parametrize("default", ["token_env: A", "token_file: /a", "token: abc"])
    @pytest.mark.parametrize(
        ("own", "source"),
        [
            ("token_env: B", TokenEnvironment("B")),
            ("token_file: /b", TokenFile(Path("/b"))),
            ("token: xyz", TokenLiteral(Secret("xyz"))),
        ],
    )
    def test_token_of_an_organization_replaces_any_default(
        self, default: str, own: str, source: object
    ) -> None:
        """Whichever way the defaults name a token, the organization's own is the one in force."""
        text = f"defaults: {{{default}}}\norganizations: [{{slug: acme, {own}}}]"

        assert source == organization(text).token

    def test_name_is_the_slug_unless_given(self) -> None:
        """An organization is called by its slug, unless the file gives it a name."""
        read = loads(
            "defaults: {token_env: T}\n"
            "organizations: [{slug: acme}, {slug: globex, name: Globex.EU}, {slug: 7, name: 8}]"
        )

        assert [("acme", "acme"), ("globex", "Globex.EU"), ("7", "8")] == [
            (each.slug, each.name) for each in read.organizations
        ]

    def test_one_slug_on_two_servers(self) -> None:
        """Organizations of two servers may have the same slug, if their names differ."""
        read = loads(
            "defaults: {token_env: T}\n"
            "organizations:\n"
            "  - {slug: acme}\n"
            "  - {slug: acme, name: acme-own, url: https://sentry.example}\n"
        )

        assert ["acme", "acme-own"] == [each.name for each in read.organizations]
        assert () == read.warnings

    def test_poll_interval_follows_the_interval(self) -> None:
        """Left out, the poll interval is the interval."""
        assert query("groupBy: [category], interval: 6h").poll_interval == 21600


class TestValues:
    """How single values are read."""

    def test_one_value_is_a_list_of_one(self) -> None:
        """Filters and fields take a value where they take a list."""
        asked = query(
            "field: sum(times_seen), filter: {category: error, outcome: accepted, project: 4505123}"
        )

        assert asked.fields == ("sum(times_seen)",)
        assert Filter(category=["error"], outcome=["accepted"], project=[4505123]) == asked.filter

    def test_repeated_values_count_once(self) -> None:
        """Repetitions in a filter are dropped, the order stays."""
        asked = query("filter: {category: [span, error, span], project: [7, web, '7']}")

        assert asked.filter.category == ("span", "error")
        assert asked.filter.project == ("7", "web")

    def test_outcomes_are_read_in_any_case(self) -> None:
        """Sentry takes outcomes in any case, and so does the file."""
        assert query("groupBy: [category], filter: {outcome: Rate_Limited}").filter.outcome == (
            "rate_limited",
        )

    def test_rows_are_summed_across_units(self) -> None:
        """Counting rows adds rows to rows, whatever unit they are in."""
        asked = query("field: sum(times_seen), filter: {category: [error, log_byte]}")

        assert asked.filter.category == ("error", "log_byte")

    def test_categories_of_one_unit_are_summed(self) -> None:
        """A filter within one unit needs no category in groupBy."""
        assert query("filter: {category: [log_byte, trace_metric_byte]}").group_by == ()

    @pytest.mark.parametrize("word", ["on", "no", "yes", "1_000", "0123", "0x10", "2026-11-23"])
    def test_words_are_words(self, word: str) -> None:
        """What YAML 1.1 took for booleans, numbers and dates is the text that it looks like."""
        assert word == organization(f"organizations: [{{slug: {word}, token_env: T}}]").slug

    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:9000",
            "http://127.0.0.2",
            "http://[::1]:9000",
            "https://a.b/c-d",
            "https://a.b/settings-sentry",
            "https://a.b/issues-sentry/c",
            "https://a.b/organizations2/x",
            "https://a.b/auth/logins",
            "https://a.b/api/01",
        ],
    )
    def test_url_is_read_without_its_last_slash(self, url: str) -> None:
        """A slash at the end of the URL makes no difference."""
        text = f"organizations: [{{slug: acme, token_env: T, url: '{url}/'}}]"

        assert url == organization(text).url
        assert warnings(text) == []


class TestYAML:
    """The file as YAML."""

    def test_anchors_and_merge_keys(self) -> None:
        """A query can be built on another, and its own keys win."""
        acme = organization(
            "organizations:\n"
            "  - slug: acme\n"
            "    token_env: T\n"
            "    queries:\n"
            "      - &first {name: a, groupBy: [category], lookback: 12h, interval: 2h}\n"
            "      - {<<: *first, name: b, lookback: 6h}\n"
        )

        assert [(asked.name, asked.interval, asked.lookback) for asked in acme.queries] == [
            ("a", 7200, 43200),
            ("b", 7200, 21600),
        ]

    def test_byte_order_mark_is_no_matter(self, tmp_path: Path) -> None:
        """A file that an editor began with a byte order mark is read like any other."""
        path = tmp_path / "config.yaml"
        path.write_text(MINIMAL, encoding="utf-8-sig")

        assert loads(MINIMAL) == load(path)

    def test_paths_are_relative_to_the_file(self, tmp_path: Path) -> None:
        """Relative paths start from the directory of the configuration file."""
        path = tmp_path / "config.yaml"
        path.write_text("organizations: [{slug: acme, token_file: token, ca_file: ../ca.pem}]")
        (acme,) = load(path).organizations

        assert TokenFile(tmp_path / "token") == acme.token
        assert tmp_path / "../ca.pem" == acme.ca_file

    @pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000])
    def test_deep_nesting_is_refused(self, text: str) -> None:
        """Nesting without end is an error like any other."""
        with pytest.raises(ConfigError, match=r"nested too deeply|invalid YAML"):
            loads(text)

    def test_aliases_of_aliases_are_refused(self) -> None:
        """A small file that aliases make a huge document is refused."""
        layers = [f"l{at}: &l{at} [{', '.join([f'*l{at - 1}'] * 9)}]" for at in range(1, 10)]
        text = "\n".join(["l0: &l0 x", *layers])

        with pytest.raises(ConfigError, match="has more than 100000 values"):
            loads(text)


class TestWarnings:
    """What is allowed, with a warning."""

    def test_literal_token(self) -> None:
        """A token in the file works, with the advice not to have it there."""
        assert warnings("organizations: [{slug: acme, token: sntryu_abc}]") == [
            (
                "organizations[0].token: everyone who can read this file can read the token; "
                "prefer token_file or token_env"
            )
        ]

    def test_plain_http(self) -> None:
        """Plain http to another machine is a warning."""
        assert warnings(
            "defaults: {url: 'http://sentry.example:9000', token_env: T}\n"
            "organizations: [{slug: acme}]"
        ) == [
            (
                "defaults.url: plain http sends the token unencrypted; "
                "use https if the server supports it"
            )
        ]

    def test_one_organization_under_two_names(self) -> None:
        """One slug twice on a server is one organization twice, whichever region is named."""
        twice = (
            "this is the organization of line 3 under another name; "
            "queries of both are published twice"
        )

        assert [f"organizations[1].slug: {twice}"] == warnings(
            "defaults: {token_env: T}\n"
            "organizations:\n"
            "  - {slug: acme}\n"
            "  - {slug: acme, name: again, url: https://us.sentry.io}\n"
            "  - {slug: acme, name: own, url: https://sentry.example}\n"
        )

    def test_subdomain_of_another_organization(self) -> None:
        """An organization's subdomain answers for that organization only."""
        assert [
            (
                "organizations[1].slug: acme.sentry.io serves only the organization acme, "
                "unless it is a region; https://sentry.io serves every organization"
            )
        ] == warnings(
            "defaults: {token_env: T, url: https://acme.sentry.io}\n"
            "organizations: [{slug: acme}, {slug: globex}, {slug: 4505123}]"
        )

    @pytest.mark.parametrize("host", ["sentry.io", "us.sentry.io", "de.sentry.io", "sentry.test"])
    def test_other_hosts_answer_for_all(self, host: str) -> None:
        """Regions and servers of one's own answer for every organization."""
        text = f"defaults: {{token_env: T, url: https://{host}}}\norganizations: [{{slug: acme}}]"

        assert [] == warnings(text)

    def test_max_age_below_two_polls(self) -> None:
        """Data is shown for two polls whatever max_age is, with a warning."""
        text = (
            "organizations: [{slug: acme, token_env: T, queries: "
            "[{name: daily, groupBy: [category], interval: 1d}]}]"
        )

        assert warnings(text) == [
            (
                "organizations[0].queries[0].interval: the max_age of 3h is shorter than two "
                "poll intervals of the query daily; its data is withdrawn after 2d instead"
            )
        ]

    @pytest.mark.parametrize(
        ("category", "message"),
        [
            ("errors", 'Sentry refuses the category "errors"; use error'),
            ("Transaction", 'Sentry refuses the category "Transaction"; use transaction'),
            (
                "spam",
                (
                    'unknown category "spam" (did you mean span?); '
                    "if Sentry does not know this category, it refuses the query"
                ),
            ),
        ],
    )
    def test_unknown_category(self, category: str, message: str) -> None:
        """Categories are an open set: an unknown one is a warning, with near names."""
        text = (
            "organizations: [{slug: acme, token_env: T, queries: [{name: q, "
            f"groupBy: [category], filter: {{category: [error, {category}]}}}}]}}]"
        )

        assert [f"organizations[0].queries[0].filter.category[1]: {message}"] == warnings(text)

    def test_second_name_of_feedback_is_known(self) -> None:
        """Sentry takes ``user_report_v2`` in a filter."""
        text = (
            "organizations: [{slug: acme, token_env: T, queries: "
            "[{name: q, filter: {category: user_report_v2}}]}]"
        )

        assert warnings(text) == []


class TestTeams:
    """Who owns which projects."""

    def test_teams_are_read_in_the_order_of_the_file(self) -> None:
        """A team has a list of projects, or one; each once, ids as text."""
        acme = organization(
            "organizations: [{slug: acme, token_env: T, teams: "
            "{payments: [checkout, 'billing-*', checkout], 7: 4505123, 'Team A': ['[a-c]?-web']}}]"
        )

        assert acme.teams == Teams(
            (
                ("payments", ("checkout", "billing-*")),
                ("7", ("4505123",)),
                ("Team A", ("[a-c]?-web",)),
            )
        )

    @pytest.mark.parametrize("teams", ["", ", teams: {}"])
    def test_no_teams(self, teams: str) -> None:
        """Without teams nobody owns anything."""
        acme = organization(f"organizations: [{{slug: acme, token_env: T{teams}}}]")

        assert Teams() == acme.teams

    def test_what_comes_too_late(self) -> None:
        """A project or a pattern that a team before has wholly is warned of."""
        text = (
            "organizations: [{slug: acme, token_env: T, teams: "
            "{payments: ['billing-*', 4505123], platform: [billing-web, 'billing-*', web, '45*']}}]"
        )
        comes_first = (
            'has no effect: the earlier team "payments" already has it by "billing-*" on line 1'
        )

        assert [
            f'organizations[0].teams.platform[0]: "billing-web" {comes_first}',
            f'organizations[0].teams.platform[1]: "billing-*" {comes_first}',
        ] == warnings(text)
