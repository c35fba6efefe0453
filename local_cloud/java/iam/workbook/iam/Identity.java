package workbook.iam;

/** Who signed a request, and for how long the signature holds. */
record Identity(String principal, long startMs, long expiresMs) {}
