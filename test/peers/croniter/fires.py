"""Fire times by an independent way: croniter walks the clock on the wall, zoneinfo tells when the wall shows it.

Reads {"zone", "cron", "from", "to"} (instants, ISO 8601) a line, writes a JSON list of UTC instants a line. The rules are those
of Rekey: a wall time that spring skips begins at the end of the gap, once; of one that autumn shows twice the first counts.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, reset_tzpath

from croniter import croniter

reset_tzpath(to=())  # the package tzdata, whatever the machine has


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    first = wall.replace(tzinfo=zone, fold=0)
    utc = first.astimezone(timezone.utc)
    if utc.astimezone(zone).replace(tzinfo=None) == wall:
        return utc
    # In a gap: the first minute after it that the wall shows.
    shown = wall
    while True:
        shown += timedelta(minutes=1)
        utc = shown.replace(tzinfo=zone, fold=0).astimezone(timezone.utc)
        if utc.astimezone(zone).replace(tzinfo=None) == shown:
            return utc


for line in sys.stdin:
    asked = json.loads(line)
    zone = ZoneInfo(asked["zone"])
    begin, end = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
    walls = croniter(asked["cron"], begin.astimezone(zone).replace(tzinfo=None) - timedelta(days=1))
    found: list[str] = []
    while True:
        at = instant(walls.get_next(datetime), zone)
        if at >= end:
            break
        text = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        if at > begin and text not in found[-1:]:
            found.append(text)
    print(json.dumps(found))
