"""What ``check`` reports: values that are learned of a configuration, as text and as JSON.

`check_online` asks the real servers.
"""

from exporter.check.findings import Finding, category_warnings
from exporter.check.online import check_online
from exporter.check.report import Checked, Report
from exporter.check.text import organization_text

__all__ = [
    "Checked",
    "Finding",
    "Report",
    "category_warnings",
    "check_online",
    "organization_text",
]
