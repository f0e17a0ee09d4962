"""History: finished buckets of the past as a file that promtool imports into Prometheus.

A job is a query with the buckets that are read of it. `exporter.backfill.survey` learns how much
that is, `exporter.backfill.reader` reads it into the progress file, and `exporter.backfill.writer`
makes the OpenMetrics file of that. Each of the three goes on where a kill has stopped it.
"""
