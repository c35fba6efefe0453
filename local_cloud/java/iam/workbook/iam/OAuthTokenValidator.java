package workbook.iam;

import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/** Broker side of OAUTHBEARER: the token is a presigned URL, as AWS's MSK IAM signers make it. */
public final class OAuthTokenValidator implements AuthenticateCallbackHandler {
    private Verifier verifier;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaas) {
        verifier = new Verifier(jaas.get(0).getOptions());
    }

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (callback instanceof OAuthBearerValidatorCallback token) {
                validate(token);
            } else if (callback instanceof OAuthBearerExtensionsValidatorCallback extensions) {
                extensions.inputExtensions().map().keySet().forEach(extensions::valid);
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    private void validate(OAuthBearerValidatorCallback callback) {
        try {
            URI url = URI.create(new String(
                    Base64.getUrlDecoder().decode(callback.tokenValue()), StandardCharsets.UTF_8));
            Map<String, String> query = query(url);
            // A token for another region's host fails on its signature: this is the host that must be signed.
            Identity identity = verifier.verify(query, "kafka." + verifier.region() + ".amazonaws.com");
            callback.token(new Token(callback.tokenValue(), identity));
        } catch (Refused | IllegalArgumentException e) {
            callback.error("invalid_token", null, null);
        }
    }

    private static Map<String, String> query(URI url) {
        Map<String, String> query = new HashMap<>();
        for (String pair : String.valueOf(url.getRawQuery()).split("&")) {
            String[] parts = pair.split("=", 2);
            if (parts.length == 2) {
                query.put(decode(parts[0]), decode(parts[1]));
            }
        }
        return query;
    }

    private static String decode(String text) {
        return URLDecoder.decode(text, StandardCharsets.UTF_8);
    }

    @Override
    public void close() {}

    /** The token as Kafka wants to see it. */
    private record Token(String value, Identity identity) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of("kafka-cluster:Connect");
        }

        @Override
        public long lifetimeMs() {
            return identity.expiresMs();
        }

        @Override
        public String principalName() {
            return identity.principal();
        }

        @Override
        public Long startTimeMs() {
            return identity.startMs();
        }
    }
}
