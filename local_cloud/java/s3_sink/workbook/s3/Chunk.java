package workbook.s3;

import java.io.ByteArrayOutputStream;
import org.apache.kafka.connect.errors.ConnectException;

/** The records that will become the next object of a partition. */
final class Chunk {
    private static final int LARGEST_BYTES = 32 * 1024 * 1024;

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private long first;
    private long next;
    private long timestamp;
    private int count;

    void add(long offset, Long recordTimestamp, byte[] line) {
        if (bytes.size() + line.length > LARGEST_BYTES) {
            throw new ConnectException("an object would grow over 32 MiB: use a smaller flush.size");
        }
        if (count == 0) {
            first = offset;
            timestamp = recordTimestamp == null ? -1 : recordTimestamp;
        }
        bytes.writeBytes(line);
        bytes.write('\n');
        next = offset + 1;
        count++;
    }

    void clear() {
        bytes.reset();
        count = 0;
    }

    int count() {
        return count;
    }

    byte[] content() {
        return bytes.toByteArray();
    }

    /** What will be known of the object in S3. Only for a chunk that holds records. */
    StoredObject description() {
        return new StoredObject(first, next, timestamp);
    }
}
