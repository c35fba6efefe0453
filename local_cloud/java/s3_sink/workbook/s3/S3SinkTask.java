package workbook.s3;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.errors.RetriableException;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Writes the records of its partitions to S3; each offset lands exactly once, whenever the worker dies. */
public final class S3SinkTask extends SinkTask {
    private static final Logger LOG = LoggerFactory.getLogger(S3SinkTask.class);
    private static final long LONGEST_BACKOFF_MS = 10_000;

    private final Map<TopicPartition, PartitionWriter> writers = new HashMap<>();
    private final JsonConverter json = new JsonConverter();
    private SinkSettings settings;
    private ObjectStore store;
    private ClockRotation rotation; // null without clock rotation
    private long backoffMs;

    @Override
    public void start(Map<String, String> properties) {
        settings = new SinkSettings(properties);
        json.configure(Map.of("schemas.enable", "false"), false);
        if (settings.rotateMs() > 0) {
            rotation = new ClockRotation(settings.rotateMs(), settings.zone(), System.currentTimeMillis());
        }
        backoffMs = settings.getLong("s3.retry.backoff.ms");
        store = new ObjectStore(settings);
        store.requireBucket();
    }

    @Override
    public void put(Collection<SinkRecord> records) {
        try {
            write(records);
            backoffMs = settings.getLong("s3.retry.backoff.ms");
            if (rotation != null) {
                context.timeout(rotation.remaining(System.currentTimeMillis()));
            }
        } catch (RetriableException e) { // Connect keeps the records and calls again
            LOG.warn("S3 is away, next try in {} ms: {}", backoffMs, e.getMessage());
            context.timeout(backoffMs);
            backoffMs = Math.min(2 * backoffMs, LONGEST_BACKOFF_MS);
            throw e;
        } finally {
            writers.forEach((partition, writer) -> {
                if (writer.mustRewind()) {
                    context.offset(partition, writer.position());
                }
            });
        }
    }

    private void write(Collection<SinkRecord> records) {
        writers.values().forEach(PartitionWriter::flushFull);
        Map<TopicPartition, Long> last = new HashMap<>();
        for (SinkRecord record : records) {
            TopicPartition partition = partition(record);
            PartitionWriter writer = writers.computeIfAbsent(
                    partition, p -> new PartitionWriter(p, store, settings.flushSize()));
            last.put(partition, record.kafkaOffset());
            byte[] line = writer.wants(record) ? line(record) : null;
            if (line != null) {
                writer.add(record, line);
            }
        }
        last.forEach((partition, offset) -> {
            long position = writers.get(partition).position();
            if (position > offset + 1) { // S3 holds more than this batch: it need not be fetched at all
                context.offset(partition, position);
            }
        });
        if (rotation != null && rotation.isDue(System.currentTimeMillis())) {
            writers.values().forEach(PartitionWriter::flush);
            rotation.advance(System.currentTimeMillis());
        }
    }

    private static TopicPartition partition(SinkRecord record) {
        if (!record.topic().equals(record.originalTopic())) {
            throw new ConnectException("This connector names objects by the Kafka topic; a transform renamed "
                    + record.originalTopic() + " to " + record.topic());
        }
        return new TopicPartition(record.topic(), record.kafkaPartition());
    }

    /** The record as a line of JSON; null when it is left out or went to the dead-letter topic. */
    private byte[] line(SinkRecord record) {
        ErrantRecordReporter deadLetters = context.errantRecordReporter(); // null without a dead-letter topic
        if (record.value() == null) {
            if (settings.ignoresNulls()) {
                if (deadLetters != null && settings.reportsNulls()) {
                    deadLetters.report(record, new DataException("Skipping null value record."));
                }
                return null;
            }
            throw new ConnectException("Null valued records are not writeable with behavior.on.null.values 'fail': "
                    + record.topic() + " offset " + record.kafkaOffset());
        }
        try {
            return json.fromConnectData(record.topic(), record.valueSchema(), record.value());
        } catch (DataException e) {
            if (deadLetters == null) {
                throw e;
            }
            deadLetters.report(record, e);
            return null;
        }
    }

    @Override
    public Map<TopicPartition, OffsetAndMetadata> preCommit(Map<TopicPartition, OffsetAndMetadata> delivered) {
        Map<TopicPartition, OffsetAndMetadata> safe = new HashMap<>();
        delivered.forEach((partition, offset) -> {
            PartitionWriter writer = writers.get(partition);
            long until = writer == null ? offset.offset() : writer.committable(offset.offset());
            safe.put(partition, new OffsetAndMetadata(until));
        });
        return safe;
    }

    @Override
    public void close(Collection<TopicPartition> partitions) {
        partitions.forEach(writers::remove); // part-filled chunks are read again by whoever comes next
    }

    @Override
    public void stop() {
        if (store != null) {
            store.close();
        }
    }

    @Override
    public String version() {
        return S3SinkConnector.VERSION;
    }
}
