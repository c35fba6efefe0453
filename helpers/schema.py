"""What the tables hold, written once: their names in the database, their columns, their keys."""

SOURCE = {"pin": "pinterest_data", "geo": "geolocation_data", "user": "user_data"}
COLUMNS = {
    "pin": "index unique_id title description poster_name follower_count tag_list is_image_or_video "
    "image_src downloaded save_location category",
    "geo": "ind timestamp latitude longitude country",
    "user": "ind first_name last_name age date_joined",
}
CLEAN_COLUMNS = {
    "pin": "ind unique_id title description follower_count poster_name tag_list is_image_or_video image_src "
    "save_location category",
    "geo": "ind country coordinates timestamp",
    "user": "ind user_name age date_joined",
}
KEY = {table: columns.split()[0] for table, columns in COLUMNS.items()}
# Every field is text, as it came: what it should be is decided in the open, by rules, never by the reader.
RAW = {
    table: ", ".join(f"`{name}` STRING" for name in [*columns.split(), "_offset"])
    for table, columns in COLUMNS.items()
}
# What the source writes where it has no data; case and a last full stop do not matter.
SENTINELS = {
    "title": ["No Title Data Available"],
    "description": ["No description available Story format", "No description available", "Untitled"],
    "poster_name": ["User Info Error"],
    "follower_count": ["User Info Error"],
    "tag_list": ["N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"],
    "image_src": ["Image src error."],
}
