package workbook.s3;

import java.time.Duration;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.RetriableException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.ListObjectsV2Request;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.S3Exception;

/** The sink's objects in one bucket. Endpoint and keys are the AWS SDK's own: environment, profile, instance. */
final class ObjectStore implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ObjectStore.class);
    private static final Pattern OFFSET = Pattern.compile("(\\d+)\\.json$");
    private static final String NEXT = "next-offset";
    private static final String TIMESTAMP = "first-timestamp";

    private final SinkSettings settings;
    private final S3Client s3;

    ObjectStore(SinkSettings settings) {
        this.settings = settings;
        s3 = S3Client.builder()
                .region(Region.of(settings.region()))
                .forcePathStyle(settings.getBoolean("s3.path.style.access.enabled"))
                .requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
                .serviceConfiguration(s -> s.expectContinueEnabled(false).chunkedEncodingEnabled(false))
                .overrideConfiguration(o -> o
                        .apiCallTimeout(Duration.ofSeconds(60))
                        .retryStrategy(r -> r.maxAttempts(settings.getInt("s3.part.retries") + 1)))
                .httpClientBuilder(UrlConnectionHttpClient.builder()
                        .connectionTimeout(Duration.ofSeconds(5))
                        .socketTimeout(Duration.ofSeconds(30)))
                .build();
    }

    /** Fails when S3 says that the bucket does not exist; an S3 that is away is left to the first write. */
    void requireBucket() {
        try {
            s3.headBucket(request -> request.bucket(settings.bucket()));
        } catch (SdkException e) {
            if (status(e) == 404) {
                throw new ConnectException("Non-existent S3 bucket: " + settings.bucket());
            }
            LOG.warn("cannot see bucket {} yet: {}", settings.bucket(), e.getMessage());
        }
    }

    /** First offsets of the partition's objects, from an offset on. */
    TreeSet<Long> offsetsFrom(TopicPartition partition, long start) {
        TreeSet<Long> found = new TreeSet<>();
        ListObjectsV2Request request = ListObjectsV2Request.builder()
                .bucket(settings.bucket())
                .prefix(settings.prefix(partition.topic(), partition.partition()))
                .build();
        try {
            s3.listObjectsV2Paginator(request).contents().forEach(object -> {
                Matcher offset = OFFSET.matcher(object.key());
                if (offset.find() && Long.parseLong(offset.group(1)) >= start) {
                    found.add(Long.parseLong(offset.group(1)));
                }
            });
        } catch (SdkException e) {
            throw failure("list " + request.prefix(), e);
        }
        return found;
    }

    /** What the object that starts at an offset holds. */
    StoredObject describe(TopicPartition partition, long first) {
        String key = key(partition, first);
        try {
            Map<String, String> metadata =
                    s3.headObject(request -> request.bucket(settings.bucket()).key(key)).metadata();
            if (metadata.containsKey(NEXT)) {
                long timestamp = Long.parseLong(metadata.getOrDefault(TIMESTAMP, "-1"));
                return new StoredObject(first, Long.parseLong(metadata.get(NEXT)), timestamp);
            }
            // Not written by this connector: a line is a record.
            String text = s3.getObjectAsBytes(request -> request.bucket(settings.bucket()).key(key)).asUtf8String();
            return new StoredObject(first, first + text.lines().count(), -1);
        } catch (SdkException e) {
            throw failure("read " + key, e);
        }
    }

    /** Write an object unless one of this name is there already; returns what S3 then holds by that name. */
    StoredObject create(TopicPartition partition, Chunk chunk) {
        StoredObject object = chunk.description();
        PutObjectRequest request = PutObjectRequest.builder()
                .bucket(settings.bucket())
                .key(key(partition, object.first()))
                .contentType("application/json")
                .ifNoneMatch("*")
                .metadata(Map.of(
                        NEXT, Long.toString(object.next()), TIMESTAMP, Long.toString(object.timestamp())))
                .build();
        try {
            s3.putObject(request, RequestBody.fromBytes(chunk.content()));
            return object;
        } catch (SdkException e) {
            if (status(e) == 412) { // our own earlier try, or another task's object
                return describe(partition, object.first());
            }
            throw failure("write " + request.key(), e);
        }
    }

    private String key(TopicPartition partition, long first) {
        return settings.key(partition.topic(), partition.partition(), first);
    }

    private static int status(SdkException e) {
        return e instanceof S3Exception answer ? answer.statusCode() : 0;
    }

    /** No answer, throttling and server errors may pass; any other answer will be the same next time. */
    private ConnectException failure(String action, SdkException e) {
        int status = status(e);
        String message = "cannot " + action + " in bucket " + settings.bucket() + ": " + e.getMessage();
        if (status == 0 || status >= 500 || status == 408 || status == 409 || status == 429) {
            return new RetriableException(message, e);
        }
        return new ConnectException(message, e);
    }

    @Override
    public void close() {
        s3.close();
    }
}
