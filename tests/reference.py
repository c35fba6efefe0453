"""The clean tables and every answer once more, in DuckDB and without any code of the pipeline.

`clean(con, raw_folder)` reads `<raw_folder>/<table>/**/*.json*`, one JSON document a line with `_offset`, and
makes the tables `pin`, `geo` and `users`, one row per post; `ANSWERS` holds a statement a question.
A user is (user_name, age, date_joined); a user's followers are the most that any own post tells.
"""

from pathlib import Path

import duckdb

FIELDS = {
    "pin": "index,unique_id,title,description,poster_name,follower_count,tag_list,is_image_or_video,"
    "image_src,downloaded,save_location,category",
    "geo": "ind,timestamp,latitude,longitude,country",
    "user": "ind,first_name,last_name,age,date_joined",
}
MACROS = r"""
CREATE OR REPLACE MACRO value(doc, name) AS
  nullif(regexp_replace(doc ->> ('$.' || name), '^[\p{Zs}\t\r\n]+|[\p{Zs}\t\r\n]+$', '', 'g'), '');
CREATE OR REPLACE MACRO whole(word) AS
  CASE WHEN regexp_full_match(word, '-?\d+') THEN try_cast(word AS BIGINT)
       WHEN regexp_full_match(word, '-?\d+(\.\d{1,18})?([eE]\+?\d\d?)?')
            AND try_cast(word AS DECIMAL(38, 18)) % 1 = 0
       THEN try_cast(try_cast(word AS DECIMAL(38, 18)) AS BIGINT) END;
CREATE OR REPLACE MACRO real_number(word) AS
  CASE WHEN regexp_full_match(word, '[-+]?\d+(\.\d+)?([eE][-+]?\d+)?') THEN try_cast(word AS DOUBLE) END;
-- Date, hours and minutes, seconds, zone: the zone's hours and minutes are taken off by arithmetic.
CREATE OR REPLACE MACRO part(word, nth) AS
  regexp_extract(word, '^(\d{4}-\d\d-\d\d)'
    || '(?:[Tt ](\d\d:\d\d)(:\d\d(?:[.,]\d+)?)? ?([Zz]|[-+]\d\d:?(?:\d\d)?)?)?$', nth);
CREATE OR REPLACE MACRO zone_minutes(zone) AS
  CASE WHEN zone IN ('', 'Z', 'z') THEN 0
       ELSE (CASE WHEN zone[1] = '-' THEN -1 ELSE 1 END)
            * (zone[2:3]::INT * 60 + coalesce(try_cast(right(replace(zone, ':', ''), -3) AS INT), 0)) END;
CREATE OR REPLACE MACRO utc(word) AS
  CASE WHEN part(word, 1) <> '' AND part(word, 2) < '24' THEN
    try_cast(part(word, 1) || ' ' || coalesce(nullif(part(word, 2), ''), '00:00')
             || coalesce(nullif(replace(part(word, 3), ',', '.')[:10], ''), ':00') AS TIMESTAMP)
    - to_minutes(zone_minutes(part(word, 4))) END;
CREATE OR REPLACE MACRO unless(word, no_data) AS
  CASE WHEN NOT list_contains(no_data, regexp_replace(lower(word), '\.$', '')) THEN word END;
CREATE OR REPLACE MACRO path(word) AS
  CASE WHEN regexp_matches(regexp_replace(word, '(?i)^local save in(\s+|$)', ''), '^\S*/')
       THEN regexp_replace(word, '(?i)^local save in(\s+|$)', '') END;
-- Decimal arithmetic: 18 digits before the point and 9 after it, times at most 10 to the 9th, fit 38 digits.
CREATE OR REPLACE MACRO scaled(word) AS
  try_cast(regexp_extract(replace(replace(word, ',', ''), ' ', ''), '^[\d.]+') AS DECIMAL(27, 9))
  * CASE lower(right(word, 1)) WHEN 'k' THEN 1000 WHEN 'm' THEN 1000000 WHEN 'b' THEN 1000000000 ELSE 1 END
    ::DECIMAL(10, 0);
CREATE OR REPLACE MACRO plain(word) AS regexp_replace(word, '\p{Zs}', ' ', 'g');
CREATE OR REPLACE MACRO followers(word) AS
  CASE WHEN regexp_full_match(word, '\d.*[eE].*') THEN whole(word)
       WHEN regexp_full_match(plain(word), '(\d+|\d{1,3}([, ]\d{3})+)(\.\d{1,9})? *[kKmMbB]?')
            AND scaled(plain(word)) % 1 = 0
       THEN try_cast(scaled(plain(word)) AS BIGINT) END;
"""
RAW = """
CREATE OR REPLACE TEMP TABLE raw_{table} AS
WITH lines AS (
  SELECT line, CASE WHEN json_valid(line) AND json_type(line) = 'OBJECT' THEN line::JSON END AS doc
  FROM read_csv({files}, columns = {{line: 'VARCHAR'}}, auto_detect = false, header = false, delim = '\x01',
                quote = '', escape = '', max_line_size = 20000000)
)
SELECT line, doc IS NULL OR {nested} AS broken, whole(doc ->> '$._offset') AS position, {values} FROM lines
"""
CLEAN = r"""
CREATE OR REPLACE TABLE pin AS
SELECT whole(index) AS ind, unique_id,
       unless(title, ['no title data available']) AS title,
       unless(description, ['no description available story format', 'no description available', 'untitled'])
         AS description,
       followers(follower_count) AS follower_count,
       unless(poster_name, ['user info error']) AS poster_name,
       unless(tag_list, ['n,o, ,t,a,g,s, ,a,v,a,i,l,a,b,l,e']) AS tag_list,
       is_image_or_video, unless(image_src, ['image src error']) AS image_src,
       path(save_location) AS save_location,
       category
FROM raw_pin
WHERE NOT broken AND whole(index) >= 0 AND position >= 0 AND unique_id <> '' AND category <> ''
QUALIFY row_number() OVER (PARTITION BY whole(index) ORDER BY position DESC) = 1;

CREATE OR REPLACE TABLE geo AS
SELECT whole(ind) AS ind, country, [real_number(latitude), real_number(longitude)] AS coordinates,
       utc(timestamp) AS timestamp
FROM raw_geo
WHERE NOT broken AND whole(ind) >= 0 AND position >= 0 AND country <> '' AND utc(timestamp) IS NOT NULL
  AND real_number(latitude) BETWEEN -90 AND 90 AND real_number(longitude) BETWEEN -180 AND 180
QUALIFY row_number() OVER (PARTITION BY whole(ind) ORDER BY position DESC) = 1;

CREATE OR REPLACE TABLE users AS
SELECT whole(ind) AS ind, nullif(concat_ws(' ', first_name, last_name), '') AS user_name,
       whole(age)::INT AS age, utc(date_joined) AS date_joined
FROM raw_user
WHERE NOT broken AND whole(ind) >= 0 AND position >= 0 AND utc(date_joined) IS NOT NULL
  AND (age IS NULL OR whole(age) BETWEEN 0 AND 120)
QUALIFY row_number() OVER (PARTITION BY whole(ind) ORDER BY position DESC) = 1;
"""
VIEWS = r"""
CREATE OR REPLACE VIEW groups AS
SELECT ind, user_name, age, date_joined,
       CASE WHEN age IS NULL OR age < 18 THEN 'unknown' WHEN age < 25 THEN '18-24' WHEN age < 36 THEN '25-35'
            WHEN age < 51 THEN '36-50' ELSE '50+' END AS age_group
FROM users;

CREATE OR REPLACE VIEW followed AS
SELECT row(user_name, age, date_joined) AS person, any_value(age_group) AS age_group,
       any_value(date_part('year', date_joined)) AS joined, max(follower_count) AS followers
FROM groups JOIN pin ON groups.ind = pin.ind
GROUP BY ALL;
"""
ANSWERS = {
    "q1": """
        WITH n AS (SELECT country, category, count(*) AS category_count
                   FROM pin, geo WHERE pin.ind = geo.ind GROUP BY ALL)
        SELECT * FROM n
        WHERE category_count = (SELECT max(category_count) FROM n AS o WHERE o.country = n.country)
        ORDER BY country, category""",
    "q2": """
        SELECT date_part('year', timestamp) AS post_year, category, count(*) AS category_count
        FROM pin, geo WHERE pin.ind = geo.ind AND timestamp >= '2018-01-01' AND timestamp < '2023-01-01'
        GROUP BY ALL ORDER BY post_year, category_count DESC, category""",
    "q2_top": """
        WITH n AS (SELECT date_part('year', timestamp) AS post_year, category, count(*) AS category_count
                   FROM pin, geo WHERE pin.ind = geo.ind GROUP BY ALL)
        SELECT * FROM n WHERE post_year IN (2018, 2019, 2020, 2021, 2022)
          AND category_count = (SELECT max(category_count) FROM n AS o WHERE o.post_year = n.post_year)
        ORDER BY post_year, category""",
    "q3": """
        WITH known AS (SELECT DISTINCT country, poster_name, follower_count FROM pin, geo
                       WHERE pin.ind = geo.ind AND poster_name IS NOT NULL AND follower_count IS NOT NULL)
        SELECT country, poster_name, follower_count FROM known
        WHERE (country, follower_count) IN (SELECT (country, max(follower_count)) FROM known GROUP BY country)
        ORDER BY country, poster_name""",
    "q3_country": """
        WITH known AS (SELECT DISTINCT country, follower_count FROM pin, geo
                       WHERE pin.ind = geo.ind AND poster_name IS NOT NULL)
        SELECT country, follower_count FROM known
        WHERE follower_count = (SELECT max(follower_count) FROM known) ORDER BY country""",
    "q4": """
        WITH n AS (SELECT age_group, category, count(*) AS category_count
                   FROM pin, groups WHERE pin.ind = groups.ind GROUP BY ALL)
        SELECT * FROM n
        WHERE category_count = (SELECT max(category_count) FROM n AS o WHERE o.age_group = n.age_group)
        ORDER BY age_group, category""",
    "q5": """
        SELECT age_group, quantile_cont(followers, 0.5) AS median_follower_count
        FROM followed GROUP BY ALL ORDER BY age_group""",
    "q6": """
        SELECT date_part('year', joined) AS post_year, count(*) AS number_users_joined
        FROM (SELECT DISTINCT user_name, age, date_joined AS joined FROM users)
        WHERE joined >= '2015-01-01' AND joined < '2021-01-01' GROUP BY ALL ORDER BY post_year""",
    "q7": """
        SELECT joined AS post_year, quantile_cont(followers, 0.5) AS median_follower_count
        FROM followed GROUP BY ALL ORDER BY post_year""",
    "q8": """
        SELECT age_group, joined AS post_year, quantile_cont(followers, 0.5) AS median_follower_count
        FROM followed GROUP BY ALL ORDER BY age_group, post_year""",
    "q9": """
        WITH active AS (
          SELECT DISTINCT row(user_name, age, date_joined) AS person,
                 date_part('year', timestamp) AS post_year
          FROM groups, geo, pin WHERE groups.ind = geo.ind AND pin.ind = geo.ind)
        SELECT age_group, post_year, quantile_cont(followers, 0.5) AS median_follower_count
        FROM active JOIN followed ON active.person IS NOT DISTINCT FROM followed.person
        GROUP BY ALL ORDER BY age_group, post_year""",
}


def clean(con: duckdb.DuckDBPyConnection, raw_folder: Path | str) -> dict[str, tuple[int, int]]:
    """Make `pin`, `geo` and `users`; how many (raw records, clean rows) each source table has."""
    con.execute("SET TimeZone = 'UTC'")
    con.execute(MACROS)
    for table, fields in FIELDS.items():
        files = [str(file) for file in sorted(Path(raw_folder, table).rglob("*.json*"))]
        values = ", ".join(f"value(doc, '{field}') AS \"{field}\"" for field in fields.split(","))
        kinds = (f"json_type(doc, '$.{field}') IN ('OBJECT', 'ARRAY')" for field in fields.split(","))
        nested = " OR ".join(f"coalesce({kind}, false)" for kind in kinds)
        con.execute(RAW.format(table=table, files=files, values=values, nested=nested))
    con.execute(CLEAN)
    con.execute(VIEWS)
    return {
        table: (_count(con, f"raw_{table}"), _count(con, "users" if table == "user" else table))
        for table in FIELDS
    }


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    found = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


def answers(con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple]]:
    """The rows of every answer, in the order that the question asks for."""
    return {name: con.execute(statement).fetchall() for name, statement in ANSWERS.items()}
