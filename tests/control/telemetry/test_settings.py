"""Settings: which variables ask for what, and what is said of those that cannot be followed."""

from __future__ import annotations

import pytest

from governor.control.telemetry.settings import read_settings

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        (ENDPOINT, (True, True)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, (True, False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x/v1/metrics"}, (False, True)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, (True, False)),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, (True, False)),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, (False, True)),
    ],
)
def test_an_endpoint_or_an_exporter_asks(environ: dict[str, str], asked: tuple[bool, bool]) -> None:
    """Each signal is sent if its exporter or an endpoint for it is named, and it is not none."""
    settings = read_settings(environ)
    assert settings is not None
    assert (settings.sampler is not None, settings.has_metrics, settings.warnings) == (*asked, ())


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "tools", "OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "  "},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "True"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
def test_nothing_is_asked_for(environ: dict[str, str]) -> None:
    """Without endpoint and exporter, or disabled, there is nothing to do."""
    assert read_settings(environ) is None


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "4318"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        ({**ENDPOINT, "OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "2048"),
    ],
)
def test_what_cannot_be_followed_is_said(environ: dict[str, str], word: str) -> None:
    """A protocol, an exporter or a number that is not known here is named with what is."""
    settings = read_settings(environ)
    assert settings is not None
    assert any(word in warning for warning in settings.warnings)


def test_the_batch_fits_the_queue() -> None:
    """Milliseconds become seconds; a batch larger than the queue would never be full."""
    told = {"OTEL_BSP_SCHEDULE_DELAY": "250", "OTEL_BSP_MAX_QUEUE_SIZE": "100"}
    settings = read_settings({**ENDPOINT, **told, "OTEL_METRIC_EXPORT_INTERVAL": "1500"})
    assert settings is not None
    assert (settings.delay_s, settings.metrics_s) == (0.25, 1.5)
    assert (settings.queue_spans, settings.batch_spans) == (100, 100)
