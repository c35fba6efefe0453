package workbook.s3;

import java.util.TreeSet;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Puts each record of one partition into exactly one object.
 *
 * <p>The objects in S3 are the truth, not the committed offset: records that an object already holds are passed
 * over. Objects are only created, never overwritten, so a task that has lost the partition without knowing it
 * cannot spoil them.
 */
final class PartitionWriter {
    private static final Logger LOG = LoggerFactory.getLogger(PartitionWriter.class);
    private static final long UNKNOWN = -1;

    private final TopicPartition partition;
    private final ObjectStore store;
    private final int flushSize;
    private final Chunk chunk = new Chunk();
    /** Objects in S3 that the records have not reached yet, by first offset; null until S3 was asked. */
    private TreeSet<Long> ahead;
    /** Every record before this offset is in S3 or in the chunk. */
    private long next = UNKNOWN;
    /** Where reading has to go on after another task's objects were found; UNKNOWN otherwise. */
    private long rewind = UNKNOWN;

    PartitionWriter(TopicPartition partition, ObjectStore store, int flushSize) {
        this.partition = partition;
        this.store = store;
        this.flushSize = flushSize;
    }

    /** True when a record with this offset still has to be written. Finds out at the first record what S3 holds. */
    boolean wants(SinkRecord record) {
        long offset = record.kafkaOffset();
        if (mustRewind() && offset != rewind) {
            return false; // the rest of a batch that will be read again
        }
        rewind = UNKNOWN;
        if (ahead == null) {
            ahead = store.offsetsFrom(partition, offset);
        }
        while (!ahead.isEmpty() && ahead.first() <= Math.max(offset, next)) {
            flush();
            if (mustRewind()) {
                return false;
            }
            StoredObject object = store.describe(partition, ahead.first());
            requireSameLog(object, record);
            LOG.info("{}: offsets {}-{} are in S3", partition, object.first(), object.next() - 1);
            next = Math.max(next, object.next());
            ahead.pollFirst();
        }
        return offset >= next;
    }

    /** Take a record that is wanted. */
    void add(SinkRecord record, byte[] line) {
        chunk.add(record.kafkaOffset(), record.timestamp(), line);
        next = record.kafkaOffset() + 1;
        flushFull();
    }

    /** Write the chunk if it is full; an S3 that was away may have left it so. */
    void flushFull() {
        if (chunk.count() >= flushSize) {
            flush();
        }
    }

    /** Write what there is. */
    void flush() {
        if (chunk.count() == 0) {
            return;
        }
        StoredObject mine = chunk.description();
        StoredObject stored = store.create(partition, chunk);
        chunk.clear();
        if (stored.equals(mine)) {
            return;
        }
        LOG.warn("{}: offset {} was written by another task; reading on from there", partition, mine.first());
        ahead = null;
        next = mine.first();
        rewind = mine.first();
    }

    /** True while Connect has to be told to read on from {@link #position()} again. */
    boolean mustRewind() {
        return rewind != UNKNOWN;
    }

    /** The offset that may be committed, given how far Connect has delivered records. */
    long committable(long delivered) {
        if (mustRewind()) {
            return rewind;
        }
        return chunk.count() > 0 ? chunk.description().first() : Math.max(next, delivered);
    }

    /** The offset of the next record that is of use. */
    long position() {
        return next;
    }

    private void requireSameLog(StoredObject object, SinkRecord record) {
        boolean comparable = object.timestamp() >= 0 && record.timestamp() != null;
        if (comparable && object.first() == record.kafkaOffset() && object.timestamp() != record.timestamp()) {
            throw new ConnectException("The objects of " + partition + " in S3 come from an earlier topic of that "
                    + "name (offset " + object.first() + " differs). Delete them, or use another topics.dir.");
        }
    }
}
