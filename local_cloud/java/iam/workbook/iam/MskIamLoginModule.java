package workbook.iam;

import java.security.Provider;
import java.security.Security;
import java.util.Map;
import javax.security.auth.Subject;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.spi.LoginModule;

/** The broker itself needs no login for AWS_MSK_IAM; loading this class makes the mechanism known to Java. */
public final class MskIamLoginModule implements LoginModule {
    static {
        Provider provider = new Provider("MskIamServer", "1", "server side of AWS_MSK_IAM") {};
        provider.put("SaslServerFactory." + MskIamSaslServer.MECHANISM, MskIamSaslServerFactory.class.getName());
        Security.addProvider(provider);
    }

    @Override
    public void initialize(Subject subject, CallbackHandler handler, Map<String, ?> state, Map<String, ?> options) {}

    @Override
    public boolean login() {
        return true;
    }

    @Override
    public boolean commit() {
        return true;
    }

    @Override
    public boolean abort() {
        return false;
    }

    @Override
    public boolean logout() {
        return true;
    }
}
