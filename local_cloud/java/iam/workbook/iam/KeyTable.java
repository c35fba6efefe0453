package workbook.iam;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.HashMap;
import java.util.Map;

/** The access keys of the local account, read again whenever their file changes. */
final class KeyTable {
    /** The secret that belongs to an access key id, and the principal (role name) it stands for. */
    record Key(String secret, String principal) {}

    private final Path file;
    private FileTime read = FileTime.fromMillis(0);
    private Map<String, Key> keys = Map.of();

    KeyTable(String file) {
        this.file = Path.of(file);
        refresh();
    }

    /** The key with this id. */
    synchronized Key find(String id) throws Refused {
        refresh();
        Key key = keys.get(id);
        if (key == null) {
            throw new Refused("unknown access key id");
        }
        return key;
    }

    private void refresh() {
        try {
            FileTime changed = Files.getLastModifiedTime(file);
            if (!changed.equals(read)) {
                keys = parse();
                read = changed;
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read the key table " + file, e);
        }
    }

    /** Each line is {@code keyid=secret:principal}. */
    private Map<String, Key> parse() throws IOException {
        Map<String, Key> found = new HashMap<>();
        for (String line : Files.readAllLines(file)) {
            int equals = line.indexOf('=');
            int colon = line.indexOf(':', equals);
            if (equals > 0 && colon > 0) {
                Key key = new Key(line.substring(equals + 1, colon), line.substring(colon + 1));
                found.put(line.substring(0, equals), key);
            }
        }
        return found;
    }
}
