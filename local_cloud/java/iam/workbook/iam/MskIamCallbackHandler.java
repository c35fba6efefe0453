package workbook.iam;

import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;

/** Carries the listener's settings from its JAAS entry to the AWS_MSK_IAM servers. */
public final class MskIamCallbackHandler implements AuthenticateCallbackHandler {
    private Verifier verifier;
    private Set<String> hosts;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaas) {
        Map<String, ?> options = jaas.get(0).getOptions();
        verifier = new Verifier(options);
        hosts = Set.of(Verifier.option(options, "hosts").split(","));
    }

    MskIamSaslServer newServer() {
        return new MskIamSaslServer(verifier, hosts);
    }

    @Override
    public void handle(Callback[] callbacks) {}

    @Override
    public void close() {}
}
