package workbook.iam;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides whether a signed "connect to this cluster" request is genuine, as MSK's IAM access control does. */
final class Verifier {
    private static final Logger LOG = LoggerFactory.getLogger("IAM");
    private static final DateTimeFormatter DATE =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    private static final long LONGEST_SECONDS = 900;
    private static final long CLOCK_SKEW_MS = 300_000;

    private final KeyTable keys;
    private final String region;
    private final String reserved;

    /** Options of the broker's JAAS entry: keys (file), region, reserved (a principal nobody may sign as). */
    Verifier(Map<String, ?> options) {
        keys = new KeyTable(option(options, "keys"));
        region = option(options, "region");
        reserved = option(options, "reserved");
    }

    static String option(Map<String, ?> options, String name) {
        Object value = options.get(name);
        if (value == null) {
            throw new IllegalArgumentException("the broker's JAAS entry lacks the option " + name);
        }
        return value.toString();
    }

    /** The region whose requests are accepted. */
    String region() {
        return region;
    }

    /** The identity behind a request signed for this host (null: no host of ours); a refusal is logged. */
    Identity verify(Map<String, String> query, String host) throws Refused {
        String[] credential = query.getOrDefault("X-Amz-Credential", "").split("/");
        try {
            Identity identity = check(query, host, credential, System.currentTimeMillis());
            LOG.debug("accepted {}", identity.principal());
            return identity;
        } catch (Refused e) {
            LOG.warn("refused: {}", e.getMessage()); // never the key id: it is half of a key
            throw e;
        }
    }

    private Identity check(Map<String, String> query, String host, String[] credential, long nowMs) throws Refused {
        require(host != null, "signed for another broker or another version of the protocol");
        require("AWS4-HMAC-SHA256".equals(query.get("X-Amz-Algorithm")), "not a Signature Version 4 request");
        require("kafka-cluster:Connect".equals(query.get("Action")), "the action is not kafka-cluster:Connect");
        require("host".equals(query.get("X-Amz-SignedHeaders")), "the signed headers are not just the host");
        require(query.get("X-Amz-Security-Token") == null, "this account has no session tokens");
        require(credential.length == 5, "the credential scope is malformed");
        require(credential[2].equals(region), "signed for region " + printable(credential[2]) + ", not " + region);
        require(credential[3].equals("kafka-cluster"), "signed for service " + printable(credential[3]));
        require(credential[4].equals("aws4_request"), "the credential scope is malformed");

        KeyTable.Key key = keys.find(credential[0]);
        require(!key.principal().equals(reserved), "the principal " + reserved + " is reserved");
        Map<String, String> signed = new TreeMap<>(query);
        String signature = signed.remove("X-Amz-Signature");
        require(signature != null, "there is no signature");
        signed.remove("User-Agent"); // added after signing
        String[] scope = Arrays.copyOfRange(credential, 1, credential.length);
        byte[] expected = SigV4.sign(signed, host, scope, key.secret()).getBytes(StandardCharsets.UTF_8);
        require(MessageDigest.isEqual(expected, signature.getBytes(StandardCharsets.UTF_8)),
                "the signature does not match");

        String date = query.getOrDefault("X-Amz-Date", "");
        require(date.startsWith(credential[1]), "the date differs from the credential scope");
        long start = instant(date);
        long seconds = seconds(query.get("X-Amz-Expires"));
        require(seconds > 0 && seconds <= LONGEST_SECONDS, "the expiry is not within 1-900 seconds");
        require(start <= nowMs + CLOCK_SKEW_MS, "signed in the future: is the clock right?");
        require(nowMs <= start + seconds * 1000, "expired");
        return new Identity(key.principal(), start, start + seconds * 1000);
    }

    private static void require(boolean holds, String otherwise) throws Refused {
        if (!holds) {
            throw new Refused(otherwise);
        }
    }

    private static long instant(String date) throws Refused {
        try {
            return Instant.from(DATE.parse(date)).toEpochMilli();
        } catch (DateTimeException e) {
            throw new Refused("the date is malformed");
        }
    }

    private static long seconds(String expires) throws Refused {
        try {
            return Long.parseLong(expires);
        } catch (NumberFormatException e) {
            throw new Refused("the expiry is malformed");
        }
    }

    /** A client's text, fit for a log line. */
    private static String printable(String text) {
        return text.replaceAll("[^A-Za-z0-9-]", "?").substring(0, Math.min(text.length(), 40));
    }
}
