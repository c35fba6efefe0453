package workbook.iam;

import java.util.Map;
import javax.security.auth.callback.CallbackHandler;
import javax.security.sasl.SaslException;
import javax.security.sasl.SaslServer;
import javax.security.sasl.SaslServerFactory;

/** Makes the server side of AWS_MSK_IAM for each connection. */
public final class MskIamSaslServerFactory implements SaslServerFactory {
    @Override
    public SaslServer createSaslServer(
            String mechanism, String protocol, String server, Map<String, ?> properties, CallbackHandler handler)
            throws SaslException {
        if (!MskIamSaslServer.MECHANISM.equals(mechanism)) {
            return null;
        }
        if (handler instanceof MskIamCallbackHandler ours) {
            return ours.newServer();
        }
        throw new SaslException("AWS_MSK_IAM wants " + MskIamCallbackHandler.class.getName());
    }

    @Override
    public String[] getMechanismNames(Map<String, ?> properties) {
        return new String[] {MskIamSaslServer.MECHANISM};
    }
}
