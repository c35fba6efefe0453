package workbook.s3;

import java.time.Instant;
import java.time.ZoneId;

/** Moments at whole intervals after midnight in a time zone. */
final class ClockRotation {
    private final long intervalMs;
    private final ZoneId zone;
    private long due;

    ClockRotation(long intervalMs, ZoneId zone, long nowMs) {
        this.intervalMs = intervalMs;
        this.zone = zone;
        advance(nowMs);
    }

    boolean isDue(long nowMs) {
        return nowMs >= due;
    }

    /** Milliseconds until the next moment, at least 1. */
    long remaining(long nowMs) {
        return Math.max(1, due - nowMs);
    }

    /** Go on to the first moment after now. */
    void advance(long nowMs) {
        long midnight = Instant.ofEpochMilli(nowMs).atZone(zone).toLocalDate().atStartOfDay(zone)
                .toInstant().toEpochMilli();
        due = midnight + ((nowMs - midnight) / intervalMs + 1) * intervalMs;
    }
}
