package workbook.iam;

/** A client that may not come in; the message says why and never holds a secret. */
final class Refused extends Exception {
    Refused(String why) {
        super(why);
    }
}
