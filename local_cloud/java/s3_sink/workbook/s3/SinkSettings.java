package workbook.s3;

import java.time.DateTimeException;
import java.time.ZoneId;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.CaseInsensitiveValidString;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Range;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigException;

/** The settings of Confluent's S3 sink, as far as this connector honours them; everything else is refused. */
final class SinkSettings extends AbstractConfig {
    private static final String CONFLUENT = "io.confluent.connect.";
    private static final int SMALLEST_PART = 5 * 1024 * 1024;

    static final ConfigDef DEFINITION = new ConfigDef()
            .define("s3.bucket.name", Type.STRING, ConfigDef.NO_DEFAULT_VALUE, new ConfigDef.NonEmptyString(),
                    Importance.HIGH, "The bucket.")
            .define("s3.region", Type.STRING, "us-west-2", new ConfigDef.NonEmptyString(),
                    Importance.MEDIUM, "The bucket's region.")
            .define("flush.size", Type.INT, ConfigDef.NO_DEFAULT_VALUE,
                    Importance.HIGH, "Records in one object; less than 1 means 1, as in Confluent's sink.")
            .define("rotate.schedule.interval.ms", Type.LONG, -1L, Range.atLeast(-1),
                    Importance.MEDIUM, "Write part-filled objects at these clock intervals; needs timezone.")
            .define("rotate.interval.ms", Type.LONG, -1L,
                    only(-1L, "does nothing with DefaultPartitioner; use rotate.schedule.interval.ms"),
                    Importance.LOW, "Not used.")
            .define("timezone", Type.STRING, "", SinkSettings::validateZone,
                    Importance.MEDIUM, "The time zone whose midnight the clock intervals are counted from.")
            .define("locale", Type.STRING, "", Importance.LOW, "Names folders of time based partitioners only.")
            .define("topics.dir", Type.STRING, "topics", new ConfigDef.NonEmptyString(),
                    Importance.MEDIUM, "First folder of every object name.")
            .define("directory.delim", Type.STRING, "/", Importance.LOW, "Stands between folders.")
            .define("file.delim", Type.STRING, "+", Importance.LOW, "Stands between topic, partition and offset.")
            .define("filename.offset.zero.pad.width", Type.INT, 10, Range.between(0, 19),
                    Importance.LOW, "Width of the offset in object names.")
            .define("format.class", Type.STRING, ConfigDef.NO_DEFAULT_VALUE,
                    only(CONFLUENT + "s3.format.json.JsonFormat"), Importance.HIGH, "One JSON document a line.")
            .define("storage.class", Type.STRING, ConfigDef.NO_DEFAULT_VALUE,
                    only(CONFLUENT + "s3.storage.S3Storage"), Importance.HIGH, "S3.")
            .define("partitioner.class", Type.STRING, CONFLUENT + "storage.partitioner.DefaultPartitioner",
                    only(CONFLUENT + "storage.partitioner.DefaultPartitioner"),
                    Importance.HIGH, "A folder for each Kafka partition.")
            .define("schema.compatibility", Type.STRING, "NONE", only("NONE"), Importance.LOW, "No schemas.")
            .define("behavior.on.null.values", Type.STRING, "fail", CaseInsensitiveValidString.in("fail", "ignore"),
                    Importance.LOW, "What a record without a value does.")
            .define("report.null.values.to.dlq", Type.BOOLEAN, true,
                    Importance.LOW, "Ignored records go to the dead-letter topic, if there is one.")
            .define("s3.part.size", Type.INT, 26214400, Range.atLeast(SMALLEST_PART),
                    Importance.LOW, "Objects go up in one part here, whatever the size.")
            .define("s3.part.retries", Type.INT, 3, Range.atLeast(0), Importance.LOW, "Immediate new tries.")
            .define("s3.retry.backoff.ms", Type.LONG, 200L, Range.atLeast(1),
                    Importance.LOW, "First pause while S3 is away; it doubles with each try.")
            .define("s3.path.style.access.enabled", Type.BOOLEAN, true, Importance.LOW, "Bucket in the path.")
            .define("s3.compression.type", Type.STRING, "none", only("none"), Importance.LOW, "Not compressed.")
            .define("s3.acl.canned", Type.STRING, "", only(""), Importance.LOW, "The bucket's own rules hold.")
            .define("s3.ssea.name", Type.STRING, "", only(""), Importance.LOW, "The bucket's own encryption.")
            .define("s3.object.tagging", Type.BOOLEAN, false, only(false), Importance.LOW, "No tags.");

    /** What Connect itself reads from a connector's configuration, for every connector. */
    private static final List<String> CONNECT = List.of(
            "name", "connector.class", "connector.plugin.version", "config.action.reload",
            "tasks.max", "tasks.max.enforce", "topics", "topics.regex");
    private static final List<String> CONNECT_PREFIXES = List.of(
            "key.converter", "value.converter", "header.converter", "transforms", "predicates", "errors.",
            "consumer.override.", "producer.override.", "admin.override.");

    SinkSettings(Map<String, String> properties) {
        super(DEFINITION, properties, false);
        if (rotateMs() > 0 && getString("timezone").isEmpty()) {
            throw new ConfigException("timezone", "", ZONE_NEEDED);
        }
    }

    static final String ZONE_NEEDED = "rotate.schedule.interval.ms needs a timezone, for instance UTC";

    /** True when Connect or this connector reads the setting. */
    static boolean knows(String name) {
        return DEFINITION.names().contains(name) || CONNECT.contains(name)
                || CONNECT_PREFIXES.stream().anyMatch(name::startsWith);
    }

    String bucket() {
        return getString("s3.bucket.name");
    }

    String region() {
        return getString("s3.region");
    }

    int flushSize() {
        return Math.max(getInt("flush.size"), 1);
    }

    /** Milliseconds between clock rotations; 0 or less for none. */
    long rotateMs() {
        return getLong("rotate.schedule.interval.ms");
    }

    ZoneId zone() {
        return ZoneId.of(getString("timezone"));
    }

    boolean ignoresNulls() {
        return getString("behavior.on.null.values").equalsIgnoreCase("ignore");
    }

    boolean reportsNulls() {
        return getBoolean("report.null.values.to.dlq");
    }

    /** The part of an object's name before the offset. */
    String prefix(String topic, int partition) {
        String folder = getString("directory.delim");
        String part = getString("file.delim");
        return getString("topics.dir") + folder + topic + folder + "partition=" + partition + folder
                + topic + part + partition + part;
    }

    /** An object's whole name, from the offset of its first record. */
    String key(String topic, int partition, long offset) {
        String digits = Long.toString(offset);
        int padding = Math.max(0, getInt("filename.offset.zero.pad.width") - digits.length());
        return prefix(topic, partition) + "0".repeat(padding) + digits + ".json";
    }

    private static ConfigDef.Validator only(Object value) {
        return only(value, "this connector supports only '" + value + "'");
    }

    private static ConfigDef.Validator only(Object allowed, String otherwise) {
        return (name, value) -> {
            if (value != null && !allowed.equals(value)) {
                throw new ConfigException(name, value, otherwise);
            }
        };
    }

    private static void validateZone(String name, Object value) {
        try {
            if (value != null && !value.equals("")) {
                ZoneId.of(value.toString());
            }
        } catch (DateTimeException e) {
            throw new ConfigException(name, value, "not a time zone");
        }
    }
}
