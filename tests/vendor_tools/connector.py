"""A connector of a few lines on the vendor's SDK, as the other half of a comparison.

It waits for a file, pushes its events, says so in the log, and waits for the stop.
Arguments: `connector` or `trigger`, and the directory with `events.json`.
"""

import json
import sys
import time
from pathlib import Path

from sekoia_automation.connector import Connector
from sekoia_automation.module import Module
from sekoia_automation.trigger import Trigger


class OfConnector(Connector):
    def run(self):
        path = self.data_path / "events.json"
        while not path.exists():
            time.sleep(0.05)
        events = json.loads(path.read_text())
        self.log(f"Forwarding {len(events)} records", level="info")
        self.push_events_to_intakes(events)
        while self.running:
            self._stop_event.wait(1)


class OfTrigger(OfConnector):
    """The SDK fills the placeholders of triggers only."""

    _apply_node_secrets = Trigger._apply_node_secrets


kind, folder = sys.argv[1:]
item = {"connector": OfConnector, "trigger": OfTrigger}[kind](Module(), Path(folder))
item.start_monitoring()
port = item._liveness_server.server_address[1]
print(f"Liveness server listening on port {port}", file=sys.stderr, flush=True)
try:
    item.execute()
finally:
    item.stop_monitoring()
