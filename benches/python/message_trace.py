"""The fetch loop of the benchmark on the vendor's SDK, as its documentation shows one.

It is a fair opponent: one query for the whole backlog, all pages read, one HTTP session kept, the
SDK's own JSON library, and nothing remembered or checked.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import requests
from sekoia_automation.connector import Connector, DefaultConnectorConfiguration
from sekoia_automation.module import Module


class Configuration(DefaultConnectorConfiguration):
    account_name: str
    account_password: str
    reporting_url: str
    start_time: int
    frequency: int = 60


class MessageTrace(Connector):
    configuration: Configuration

    def run(self) -> None:
        settings = self.configuration
        session = requests.Session()
        session.auth = (settings.account_name, settings.account_password)
        start = datetime.now(UTC) - timedelta(hours=settings.start_time)
        while self.running:
            end = datetime.now(UTC)
            self.forward(session, start, end)
            start = end
            self._stop_event.wait(settings.frequency)

    def forward(self, session: requests.Session, start: datetime, end: datetime) -> None:
        window = (
            f"StartDate eq datetime'{start:%Y-%m-%dT%H:%M:%SZ}'"
            f" and EndDate eq datetime'{end:%Y-%m-%dT%H:%M:%SZ}'"
        )
        url = f"{self.configuration.reporting_url}/MessageTrace"
        parameters = {"$format": "json", "$filter": window}
        while url and self.running:
            response = session.get(url, params=parameters, timeout=60)
            response.raise_for_status()
            page = orjson.loads(response.content)["d"]
            rows = [orjson.dumps(row).decode() for row in page["results"]]
            self.push_events_to_intakes(events=rows)
            url, parameters = page.get("__next"), None


if __name__ == "__main__":
    module = Module()
    module.register(MessageTrace, "message_trace")
    if data := os.environ.get("BENCHMARK_DATA"):
        MessageTrace.data_path = Path(data)
    module.run()
