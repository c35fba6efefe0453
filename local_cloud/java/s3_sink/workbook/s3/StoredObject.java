package workbook.s3;

/**
 * An object in S3: the offset of its first record, the offset after its last one, and the first record's
 * timestamp in milliseconds (-1 when unknown).
 */
record StoredObject(long first, long next, long timestamp) {}
