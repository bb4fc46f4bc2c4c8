"""systemd kills a service whose pings come too late, so they are sent twice as often as it demands."""

import time

from cdi_refreshd import config
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.daemon.exports import Exports
from cdi_refreshd.daemon.service import Service
from cdi_refreshd.host.journal import Journal
from cdi_refreshd.host.sd_notify import ServiceManager


def test_a_ping_is_sent_at_half_of_the_watchdog_timeout_of_systemd(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    service = Service(config.Loaded(Settings(), {}, (), ()), None, Journal())
    now = time.monotonic()
    service._ping(now)
    assert service.ping_at_s == now + 15


def test_no_ping_is_sent_where_the_watchdog_is_for_another_process(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert ServiceManager().ping_every_s == 0


def test_a_heartbeat_that_is_due_before_the_next_ping_is_written_with_this_one(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "120000000")
    service = Service(config.Loaded(Settings(), {}, (), ()), None, Journal())
    service.exports = Exports(lambda _: None, lambda _: None)
    beats = []
    monkeypatch.setattr(service.exports, "beat", lambda: beats.append(1))
    now = time.monotonic()
    service.exports.beat_at_s = now + 59
    service._ping(now)
    assert beats == [1]
    service.exports.beat_at_s = now + 61
    service._ping(now)
    assert beats == [1]
