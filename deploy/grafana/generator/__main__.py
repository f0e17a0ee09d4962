"""Writes the dashboards."""

from deploy.grafana.generator import FOLDER, rendered


def main() -> None:
    """Write every dashboard into the folder that Grafana is provisioned from."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
