package workbook.iam;

import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.scram.ScramCredential;
import org.apache.kafka.common.security.scram.ScramCredentialCallback;
import org.apache.kafka.common.security.scram.internals.ScramFormatter;
import org.apache.kafka.common.security.scram.internals.ScramMechanism;

/**
 * SCRAM for one user, whose name and password stand in the listener's JAAS entry.
 *
 * <p>Kafka itself takes SCRAM users from its metadata, where a broker formatted without them has none.
 */
public final class AdminScram implements AuthenticateCallbackHandler {
    private String user;
    private ScramCredential credential;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaas) {
        Map<String, ?> options = jaas.get(0).getOptions();
        user = Verifier.option(options, "username");
        ScramMechanism scram = ScramMechanism.forMechanismName(mechanism);
        try {
            credential =
                    new ScramFormatter(scram)
                            .generateCredential(Verifier.option(options, "password"), scram.minIterations());
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void handle(Callback[] callbacks) {
        String name = null;
        for (Callback callback : callbacks) {
            if (callback instanceof NameCallback asked) {
                name = asked.getDefaultName();
            } else if (callback instanceof ScramCredentialCallback asked && user.equals(name)) {
                asked.scramCredential(credential);
            }
        }
    }

    @Override
    public void close() {}
}
