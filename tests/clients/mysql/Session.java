// A session of MySQL Connector/J: prints one line per answer, which the test compares.

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;

public class Session {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:mysql://" + arguments[0] + "/?user=root&password=&connectionTimeZone=UTC" + arguments[1];
        try (Connection connection = DriverManager.getConnection(url)) {
            tables(connection);
            prepared(connection);
            metadata(connection);
            errors(connection);
            streams(connection);
            cancels(connection);
        }
    }

    static void say(Object... parts) {
        StringBuilder line = new StringBuilder();
        for (Object part : parts) {
            line.append(line.length() == 0 ? "" : " ").append(part);
        }
        System.out.println(line);
    }

    static void run(Connection connection, String... texts) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String text : texts) {
                statement.execute(text);
            }
        }
    }

    static void tables(Connection connection) throws SQLException {
        run(connection,
            "DROP DATABASE IF EXISTS jdbc",
            "CREATE DATABASE jdbc",
            "USE jdbc",
            "CREATE TABLE visits (site INT, day DATE, hits BIGINT SUM, people HLL HLL_UNION) "
                + "AGGREGATE KEY(site, day) DISTRIBUTED BY HASH(site) BUCKETS 1 "
                + "PROPERTIES (\"replication_num\" = \"1\")",
            "CREATE TABLE things (id BIGINT, name VARCHAR(20), price DECIMAL(12,3), at DATETIME, ratio DOUBLE, "
                + "flag BOOLEAN, big LARGEINT) UNIQUE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1 "
                + "PROPERTIES (\"replication_num\" = \"1\")");
        try (Statement statement = connection.createStatement()) {
            say("inserted", statement.executeUpdate(
                "INSERT INTO visits VALUES (1, '2024-01-01', 2, hll_hash('a')), (1, '2024-01-01', 3, hll_hash('b'))"));
            statement.executeUpdate("INSERT INTO visits VALUES (1, '2024-01-01', 5, hll_hash('a'))");
            try (ResultSet rows = statement.executeQuery(
                "SELECT site, day, hits, hll_cardinality(people) n FROM visits ORDER BY site")) {
                while (rows.next()) {
                    say("visits", rows.getInt(1), rows.getDate("day"), rows.getLong("hits"), rows.getLong("n"));
                }
            }
        }
    }

    static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?, ?)")) {
            for (int id = 1; id <= 3; id++) {
                insert.setLong(1, id);
                insert.setString(2, id == 3 ? null : "naïve'" + id);
                insert.setBigDecimal(3, new BigDecimal("12.34" + id));
                insert.setTimestamp(4, Timestamp.valueOf("2024-02-29 23:59:5" + id));
                insert.setDouble(5, id / 8.0);
                insert.setBoolean(6, id % 2 == 0);
                insert.setString(7, "17014118346046923173168730371588410572" + id);
                insert.addBatch();
            }
            say("batch", insert.executeBatch().length);
        }
        try (PreparedStatement select = connection.prepareStatement(
            "SELECT id, name, price, at, ratio, flag, big FROM things WHERE id >= ? AND at > ? ORDER BY id")) {
            for (int from : new int[] {1, 3}) {
                select.setLong(1, from);
                select.setDate(2, Date.valueOf("2024-01-01"));
                try (ResultSet rows = select.executeQuery()) {
                    while (rows.next()) {
                        say("things", rows.getLong(1), rows.getString(2), rows.getBigDecimal(3), rows.getTimestamp(4),
                            rows.getDouble(5), rows.getBoolean(6), rows.getString(7));
                    }
                }
            }
        }
    }

    static void metadata(Connection connection) throws SQLException {
        say("product", connection.getMetaData().getDatabaseProductVersion());
        try (ResultSet tables = connection.getMetaData().getTables("jdbc", null, "%", null)) {
            while (tables.next()) {
                say("table", tables.getString("TABLE_NAME"));
            }
        }
        try (ResultSet columns = connection.getMetaData().getColumns("jdbc", null, "things", "%")) {
            while (columns.next()) {
                say("column", columns.getString("COLUMN_NAME"), columns.getString("TYPE_NAME"));
            }
        }
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT id, price, at FROM things LIMIT 1")) {
            ResultSetMetaData types = rows.getMetaData();
            for (int column = 1; column <= types.getColumnCount(); column++) {
                say("type", types.getColumnLabel(column), types.getColumnClassName(column), types.getTableName(column));
            }
        }
    }

    static void errors(Connection connection) throws SQLException {
        for (String text : new String[] {
            "SELECT * FROM nowhere", "SELEC 1", "SELECT nothing FROM things", "CREATE DATABASE jdbc", "USE nowhere"}) {
            try {
                run(connection, text);
                say("no error", text);
            } catch (SQLException error) {
                say("error", error.getErrorCode(), error.getSQLState());
            }
        }
    }

    static void streams(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(Integer.MIN_VALUE);
            String ten = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 "
                + "UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
            try (ResultSet rows = statement.executeQuery("SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n "
                + "FROM " + ten + " a, " + ten + " b, " + ten + " c, " + ten + " d, " + ten + " e")) {
                long sum = 0;
                while (rows.next()) {
                    sum += rows.getLong(1);
                }
                say("streamed", sum);
            }
        }
    }

    static void cancels(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.executeQuery("SELECT sleep(30)");
            say("not cancelled");
        } catch (SQLException error) {
            say("cancelled", error.getClass().getSimpleName());
        }
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT 1")) {
            rows.next();
            say("goes on", rows.getInt(1));
        }
    }
}
