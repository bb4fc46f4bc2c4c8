"""UdevEvents as in the daemon: waits for the descriptor, reads, prints each event. Ends when its input does."""

import json
import select
import sys

from cdi_refreshd.core.report.wording import words
from cdi_refreshd.events.udev import UdevEvents

events = UdevEvents(sys.argv[1])
poll = select.poll()
poll.register(events.fileno(), select.POLLIN)
poll.register(sys.stdin.fileno(), select.POLLHUP)
print(json.dumps(events.source), flush=True)
while sys.stdin.fileno() not in dict(poll.poll()):
    for event in events.read():
        print(json.dumps(words(event)), flush=True)
events.close()
