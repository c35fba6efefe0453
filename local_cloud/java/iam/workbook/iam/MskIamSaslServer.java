package workbook.iam;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import javax.security.sasl.SaslServer;
import org.apache.kafka.common.errors.SaslAuthenticationException;

/** Broker side of the AWS_MSK_IAM mechanism: one JSON message with a signature in, one JSON answer out. */
final class MskIamSaslServer implements SaslServer {
    static final String MECHANISM = "AWS_MSK_IAM";
    private static final String VERSION = "2020_10_22";
    private static final ObjectMapper JSON = new ObjectMapper();
    /** Field of the message -> query parameter of the request that was signed. */
    private static final Map<String, String> PARAMETERS = Map.of(
            "action", "Action",
            "x-amz-algorithm", "X-Amz-Algorithm",
            "x-amz-credential", "X-Amz-Credential",
            "x-amz-date", "X-Amz-Date",
            "x-amz-expires", "X-Amz-Expires",
            "x-amz-security-token", "X-Amz-Security-Token",
            "x-amz-signature", "X-Amz-Signature",
            "x-amz-signedheaders", "X-Amz-SignedHeaders");

    private final Verifier verifier;
    private final Set<String> hosts;
    private Identity identity;

    /** The hosts are the names by which clients may address this broker; they sign the one they used. */
    MskIamSaslServer(Verifier verifier, Set<String> hosts) {
        this.verifier = verifier;
        this.hosts = hosts;
    }

    @Override
    public byte[] evaluateResponse(byte[] response) {
        String requestId = UUID.randomUUID().toString();
        try {
            JsonNode message = JSON.readTree(response);
            Map<String, String> query = new HashMap<>();
            PARAMETERS.forEach((field, parameter) -> {
                if (message.hasNonNull(field)) {
                    query.put(parameter, message.get(field).asText());
                }
            });
            boolean ours = hosts.contains(message.path("host").asText())
                    && VERSION.equals(message.path("version").asText());
            identity = verifier.verify(query, ours ? message.get("host").asText() : null);
        } catch (Refused | IOException e) {
            throw new SaslAuthenticationException("[" + requestId + "]: Access denied");
        }
        String answer = "{\"version\":\"" + VERSION + "\",\"request-id\":\"" + requestId + "\"}";
        return answer.getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public String getMechanismName() {
        return MECHANISM;
    }

    @Override
    public boolean isComplete() {
        return identity != null;
    }

    @Override
    public String getAuthorizationID() {
        return identity.principal();
    }

    @Override
    public Object getNegotiatedProperty(String name) {
        return null;
    }

    @Override
    public byte[] unwrap(byte[] incoming, int offset, int length) {
        throw new IllegalStateException("the mechanism has no security layer");
    }

    @Override
    public byte[] wrap(byte[] outgoing, int offset, int length) {
        throw new IllegalStateException("the mechanism has no security layer");
    }

    @Override
    public void dispose() {}
}
