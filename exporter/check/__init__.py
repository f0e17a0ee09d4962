"""What ``check`` reports: values that are learned of a configuration, as text and as JSON.

`learn` asks the real servers. What it learns of an organization is a `Checked`.
"""

from exporter.check.findings import Finding, category_warnings
from exporter.check.online import learn
from exporter.check.report import Checked, Report
from exporter.check.text import organization_text

__all__ = ["Checked", "Finding", "Report", "category_warnings", "learn", "organization_text"]
