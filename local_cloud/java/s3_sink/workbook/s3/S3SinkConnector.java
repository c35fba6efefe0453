package workbook.s3;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.Config;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/** Writes topics to S3 with the settings and object names of Confluent's S3 sink connector. */
public final class S3SinkConnector extends SinkConnector {
    static final String VERSION = "1.0.0";
    private Map<String, String> properties;

    @Override
    public Config validate(Map<String, String> properties) {
        Config checked = super.validate(properties);
        List<ConfigValue> values = new ArrayList<>(checked.configValues());
        for (ConfigValue value : values) {
            if (value.name().equals("timezone") && lacksZone(properties)) {
                value.addErrorMessage(SinkSettings.ZONE_NEEDED);
            }
        }
        properties.keySet().stream().filter(name -> !SinkSettings.knows(name)).sorted().forEach(name -> {
            String why = "This connector does not know the setting '" + name + "' and would ignore it.";
            values.add(new ConfigValue(name, properties.get(name), List.of(), new ArrayList<>(List.of(why))));
        });
        return new Config(values);
    }

    private static boolean lacksZone(Map<String, String> properties) {
        String interval = properties.getOrDefault("rotate.schedule.interval.ms", "-1").trim();
        return interval.matches("0*[1-9]\\d*") && properties.getOrDefault("timezone", "").isBlank();
    }

    @Override
    public void start(Map<String, String> properties) {
        this.properties = properties;
    }

    @Override
    public Class<? extends Task> taskClass() {
        return S3SinkTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int maxTasks) {
        return Collections.nCopies(maxTasks, properties);
    }

    @Override
    public void stop() {}

    @Override
    public ConfigDef config() {
        return SinkSettings.DEFINITION;
    }

    @Override
    public String version() {
        return VERSION;
    }
}
