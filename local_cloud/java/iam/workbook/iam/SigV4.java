package workbook.iam;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** AWS Signature Version 4 of a GET request on "/" that carries its signature in the query string. */
final class SigV4 {
    private SigV4() {}

    /** The signature these query parameters ought to have. */
    static String sign(Map<String, String> query, String host, String[] scope, String secret) {
        StringBuilder canonical = new StringBuilder();
        new TreeMap<>(query).forEach((name, value) -> canonical
                .append(canonical.isEmpty() ? "" : "&").append(encode(name)).append('=').append(encode(value)));
        String request = "GET\n/\n" + canonical + "\nhost:" + host + "\n\nhost\n" + sha256("");
        String toSign = "AWS4-HMAC-SHA256\n" + query.get("X-Amz-Date") + "\n"
                + String.join("/", scope) + "\n" + sha256(request);
        byte[] key = ("AWS4" + secret).getBytes(StandardCharsets.UTF_8);
        for (String part : scope) {
            key = hmac(key, part);
        }
        return HexFormat.of().formatHex(hmac(key, toSign));
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8)
                .replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    private static String sha256(String text) {
        try {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] hmac(byte[] key, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }
}
