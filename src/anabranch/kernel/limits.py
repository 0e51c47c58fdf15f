"""Every maximum in Anabranch, with its reason. Each has a test at the limit and one past it."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

# Names
REPOSITORY_NAME_LENGTH_MIN = 3  # lakeFS's grammar, and a bucket name's
REPOSITORY_NAME_LENGTH_MAX = 63  # a bucket name is one DNS label
BRANCH_NAME_LENGTH_MAX = 256  # must fit a KV key many times over
TAG_NAME_LENGTH_MAX = 256  # as a branch's: both resolve in one place
REF_EXPRESSION_LENGTH_MAX = 1_024  # a name and a chain of ~ and ^
REF_STEPS_MAX = 64  # each step of ~ or ^ is at least one commit read
REF_ANCESTORS_MAX = 100_000  # the largest N of ~N: a walk of that many commits
COMMIT_PREFIX_LENGTH_MIN = 6  # shorter prefixes are likely to be a name somebody mistyped
PATH_BYTES_MAX = 1_024  # S3's longest key
NAMESPACE_LENGTH_MAX = 1_024  # as a path's
MESSAGE_BYTES_MAX = 64 * KIB  # a commit is read whole by every log
METADATA_PAIRS_MAX = 256  # commit metadata is shown in full
METADATA_BYTES_MAX = 64 * KIB  # of a commit, keys and values together
USER_METADATA_BYTES_MAX = 2 * KIB  # S3's limit for an object's user metadata
CONTENT_TYPE_BYTES_MAX = 256  # it is copied into every row
CHECKSUM_LENGTH_MAX = 128  # the longest known is a SHA-512 in hex

# Pages
PAGE_DEFAULT = 100  # lakeFS's default amount
PAGE_MAX = 1_000  # lakeFS's and S3's largest page
DELETE_PATHS_MAX = 1_000  # one S3 DeleteObjects request
INLINE_SCAN_ROWS_MAX = 500  # above it a scan would hold the event loop for milliseconds
SCAN_ROWS_MAX = 5_000  # rows of one KV scan: one answer stays in a few MiB
COMMON_PREFIX_SEEKS_MAX = 2_000  # reads of one listing page; past it the caller is told to go on

# Staging and commits
KV_WRITES_MAX = 5_000  # writes of one transaction, so that no batch stalls others
KV_BATCH_REQUESTS_MAX = 256  # requests of one group commit: bounds the wait of the first
KV_QUEUE_MAX = 4_096  # requests waiting for the writer; past it the server says SlowDown
KV_KEY_BYTES_MAX = 2_560  # a PostgreSQL b-tree entry holds 2,704 bytes
KV_VALUE_BYTES_MAX = 512 * KIB  # records are small; large bytes belong into the block store
STAGING_RETRIES_MAX = 64  # a staging write meets a sealed token only while a commit seals
LOST_WINDOWS_MAX = 3  # places lost in a row: the disk is failing, and each try costs a segment
OUTCOME_TRIES_MAX = 10  # attempts to settle or to repeat a write whose answer was lost
OUTCOME_PAUSE_S = 0.2  # between such attempts: a connection needs a moment to come back
COMMIT_REBUILDS_MAX = 10  # then Conflict: the caller knows better whether to go on
SEALED_FOLD_AT = 4  # sealed tokens at which the next seal folds a run of neighbours
SEALED_TOKENS_MAX = 16  # every read at a branch asks each token
LEASE_S = 30  # a lost holder delays a waiter by this at most
LEASE_RENEW_S = 10  # two renewals may be lost before a lease is
DROPPED_TOKEN_GRACE_S = 3_600  # longer than any request that may still read the token
OUTCOME_GRACE_S = 3_600  # longer than any caller that may still ask for its outcome
BRANCH_STATES_MAX = 10_000  # branch records a process keeps: a few MiB
REPOSITORIES_CACHED_MAX = 1_000  # repository records a process keeps
MERGE_CONFLICTS_PAGE = 1_000  # conflicts in the answer of a merge; the rest has pages

# Ranges (docs/formats/range.md fixes them for the format)
RANGE_WEIGHT_MIN = 1_024  # no cut before it: keeps the number of range files down
RANGE_WEIGHT_AVERAGE = 4_096  # what one changed path rewrites, on the average
RANGE_WEIGHT_MAX = 16_384  # a cut is forced here: bounds the rewrite and the memory for it
RANGE_THRESHOLD_SLOPE = 3_068_843_483_582  # 2 * 2^64 / L^2, L = (average - minimum) / 0.886
RANGE_BYTES_MAX = 256 * MIB  # a range file read whole: far above 16,384 entries of any kind
RANGE_CACHE_BYTES_MAX = 224 * MIB  # decoded ranges a process keeps: a million imported entries
HEAP_TRIM_BYTES = 160 * MIB  # decoded ranges made between two times memory is given back
DIFFERENCES_CACHE_BYTES_MAX = 32 * MIB  # rows that ranges of two sides do not share
METARANGE_CACHE_BYTES_MAX = 64 * MIB  # decoded metaranges a process keeps
RANGE_THREADS = 4  # ranges encoded, written or read at a time: more threads fsync no faster
RANGES_IN_FLIGHT_MAX = 64  # ranges of one build that are in memory and not yet written
RANGES_AHEAD_MAX = 16  # ranges a scan decodes before they are asked for
CHANGE_ROWS_MAX = 65_536  # changes merged into one range at a time: bounds a build's memory
MERGE_ROWS_MAX = 100_000  # changes a merge holds back until it knows that nothing conflicts

# Blocks
SMALL_OBJECT_BYTES_MAX = 64 * KIB  # larger bytes gain nothing from sharing an fsync
SEGMENT_BYTES = 64 * MIB  # one pre-zeroed segment file
LEFTOVERS_LOOK_S = 60  # between two looks for segments of killed processes: each lists them all
LEFTOVERS_MAX = 64  # of them held at a time, each by an open file
LEFTOVERS_ROWS = 1_000  # rows looked through at a time; the largest has 10,000 parts
WINDOW_BYTES = 1 * MIB  # what a surface holds of one body at a time
EARLY_SYNC_BYTES = 8 * MIB  # write-back starts while a body is still arriving
WINDOWS_PER_WRITE_MAX = 512  # half of Linux's IOV_MAX
COPIES_BYTES_MAX = 4 * GIB  # files copied out of segments for engines that read by path
COPY_KEEP_S = 3_600  # longer than any query that may still open such a copy
OPEN_FILES_MAX = 256  # descriptors of block files kept open
INLINE_READ_BYTES_MAX = 1 * MIB  # read in the event loop when in the page cache
OBJECT_BYTES_MAX = 5 * TIB  # S3's largest object
PUT_BYTES_MAX = 5 * GIB  # S3's largest single PUT and part
PARTS_MAX = 10_000  # S3's largest part number
PART_BYTES_MIN = 5 * MIB  # S3's smallest part that is not the last
COMPLETED_UPLOAD_KEEP_S = 86_400  # a completed upload's answer is given again for a day
ISSUED_ADDRESS_S = 12 * 3_600  # how long an address for linking may be used
IMPORT_PATHS_MAX = 100  # source paths of one import
IMPORTS_RUNNING_MAX = 4  # imports of one process at a time: each is a thread that lists and hashes
IMPORT_BEAT_S = 1  # how often a running import writes its progress
IMPORT_SILENT_S = 60  # an import that wrote nothing for so long has died with its process
DUMP_PART_BYTES = 1 * MIB  # a part of a dump of refs ends here; some 3,000 commits
DUMP_PART_BYTES_MAX = 8 * MIB  # of a part that is read: its last line may be long
DUMP_PARTS_MAX = 4_096  # of a list: some 12 million commits
DUMP_INDEX_BYTES_MAX = 1 * MIB  # an index of so many parts has 500 KB
DUMP_COMMITS_MAX = 4_000_000  # a restore holds 40 bytes of each while it judges them
REFS_TASKS_RUNNING_MAX = 2  # dumps and restores of one process at a time: each is a thread
IMPORT_KEEP_S = 86_400  # how long the state of an import that is over can be asked for

# Requests
HEADER_BYTES_MAX = 32 * KIB  # all headers of a request
URL_BYTES_MAX = 16 * KIB  # a path of 1,024 bytes, percent-coded, and its query
XML_BODY_BYTES_MAX = 2 * MIB  # 1,000 keys or 10,000 parts
JSON_BODY_BYTES_MAX = 16 * MIB  # a bulk delete of long paths
OPEN_BODY_BYTES_MAX = 64 * KIB  # JSON of somebody not yet known: a name and a key
DRAIN_BYTES_MAX = 16 * MIB  # read and dropped after an early error, so that clients see it
DRAIN_S = 10  # the longest such drain
BODY_IDLE_S = 60  # a client that sends nothing for so long is gone
BODY_S = 120  # a body that is read whole into memory, from its first byte to its last
HEADERS_S = 60  # for the headers of a request, and between two on one connection
HEADERS_MAX = 200  # header lines of a request: 2 KiB of user metadata is far fewer
CHUNK_HEADER_BYTES_MAX = 4 * KIB  # one chunk line of a signed streaming body
CHUNK_BYTES_MAX = 16 * MIB  # a chunk's signature is judged before its bytes are kept
CLOCK_SKEW_S = 15 * 60  # S3's: older or newer signatures are refused
PRESIGN_S_MAX = 7 * 86_400  # S3's longest presigned URL
LISTING_S = 30  # a listing that found nothing by then answers SlowDown
LOGIN_TOKEN_S = 24 * 3_600  # a login token's life
THREADS_MAX = 16  # blocking calls of one process at a time
THREAD_QUEUE_MAX = 1_024  # blocking calls waiting; past it the server says SlowDown
USER_NAME_LENGTH_MAX = 128  # lakeFS's longest user name is shorter
CREDENTIAL_CACHE_S = 5  # a key removed by another process works at most so long
CREDENTIAL_CACHE_MAX = 1_000  # access keys a process keeps decrypted
SQL_USERS_MAX = 4_999  # users of SQL: listed by one scan of SCAN_ROWS_MAX

# Commands
COMMAND_CONNECT_S = 10  # a server of the same network answers within milliseconds
COMMAND_ANSWER_S = 600  # a merge of a large repository works before it answers
COMMAND_KEEP_S = 30  # half of HEADERS_S, after which a server closes a silent connection
NOTEBOOK_ROWS_MAX = 20  # rows of a table that a notebook shows: more would hide the next cell
CONFLICTS_TOLD_MAX = 100_000  # that an error of the Python client holds: some 20 MB of paths
SPOOL_BYTES_MAX = 8 * MIB  # what a written file keeps in memory; more goes to a temporary file
COMPLETION_S = 1  # a shell that waits longer for names annoys more than it helps
COMPLETION_NAMES_MAX = 100  # more names than a terminal shows
IMPORT_POLL_S = 0.25  # between two questions how far an import is
TRANSFERS_MAX = 64  # files at a time: each is a thread and a connection
TRANSFERS_DEFAULT = 8  # hides the latency of small files; more gains nothing on one machine
TRANSFER_PARTS_AT_ONCE = 4  # parts of one large file at a time
TRANSFER_PART_BYTES = 16 * MIB  # what an interruption loses at most, unless the file is enormous
TRANSFER_MULTIPART_BYTES = 64 * MIB  # from here on a file is sent in parts
TRANSFER_ATTEMPTS = 4  # for one file or part, when the server is busy or the connection fails
TRANSFER_RETRY_S = 0.5  # before the second attempt; then twice as long, each time
TRANSFER_LOOKAHEAD_PAGES = 8  # pages of present objects without a match before each is asked for
TRANSFER_COUNT_PAGES = 20  # pages counted before a download, for its total
GRAPH_REFS_MAX = 1_000  # branches, and tags, whose names a graph shows
STAT_FOLDERS_MAX = 1_000  # folders told apart by `diff --stat`; deeper ones join their parents
MERGE_CHANGES_SHOWN_MAX = 20  # paths a person reads after a merge; `diff` shows the rest

# S3
REFS_PARSED_MAX = 1_024  # names and ref expressions in use at a time; a parsed one is a few words
SIGNING_KEYS_CACHED_MAX = 4_096  # one per access key, day and region; under 300 bytes each
TRAILERS_MAX = 16  # trailing headers of a body; S3 knows a checksum and a signature
XML_DEPTH_MAX = 8  # nesting of a request's document; the deepest of S3's has 6 levels
BUCKETS_PAGE_MAX = 10_000  # S3's largest page of buckets, and its page when none is asked for
REF_SEGMENTS_MAX = 4  # of a key that may belong to its ref: each further one costs a look-up
INLINE_KEYS_MAX = 50  # of a bulk delete judged in the event loop; more would hold it

# Tables and statements
CHAR_LENGTH_MAX = 255  # Doris's CHAR, in bytes
VARCHAR_LENGTH_MAX = 65_533  # Doris's VARCHAR, in bytes
TYPE_DEPTH_MAX = 9  # Doris's nesting of ARRAY, MAP and STRUCT
TABLE_NAME_LENGTH_MAX = 64  # Doris's database and table names
COLUMN_NAME_LENGTH_MAX = 256  # Doris's column and partition names
LABEL_LENGTH_MAX = 128  # Doris's labels
COLUMNS_MAX = 4_096  # MySQL's columns of a table; clients expect no more of a result
PARTITIONS_MAX = 4_096  # Doris's default for partitions made by one statement, here of a table
COMMENT_LENGTH_MAX = 2_048  # MySQL's longest table comment
STATEMENT_CHARACTERS_MAX = 64 * MIB  # the largest packet a server may be set to take, as text
STATEMENT_PARENTHESES_MAX = 1_000  # nesting skipped over: the transforms recurse into it

# MySQL protocol
MYSQL_PACKET_BYTES_MAX = 64 * MIB  # MySQL's max_allowed_packet: one statement or parameter
MYSQL_LOGIN_BYTES_MAX = 64 * KIB  # one packet of somebody not yet known
MYSQL_LOGIN_PACKETS_MAX = 16  # the longest login has seven
MYSQL_LOGIN_S = 10  # MySQL's connect_timeout: from the connection to the end of the login
MYSQL_LOGINS_MAX = 256  # connections that did not log in yet; past it the next is refused
MYSQL_CONNECTIONS_MAX = 1_024  # Doris's qe_max_connection
MYSQL_IDLE_S = 28_800  # MySQL's wait_timeout: a client that says nothing for so long is gone
MYSQL_BODY_S = 600  # from a packet's first byte to its last
MYSQL_WRITE_S = 600  # a client that reads nothing for so long is gone
MYSQL_ATTRIBUTES_MAX = 128  # connection attributes that are kept; clients send about ten
MYSQL_ERROR_BYTES_MAX = 16 * KIB  # an error's text; some clients read it into a fixed buffer
MYSQL_STATEMENTS_MAX = 4_096  # prepared statements of one connection
MYSQL_THREADS_MAX = 32  # statements of one process computing at a time
MYSQL_LIGHT_THREADS_MAX = 4  # SET, USE and SHOW, which never wait for the statements above
MYSQL_AHEAD_BYTES = 2 * MIB  # of an answer computed and not yet taken by the connection
MYSQL_CHUNK_BYTES = 512 * KIB  # of encoded rows at a time, about
MYSQL_SEND_BUFFER_BYTES = 1 * MIB  # written and not yet taken by the kernel
MYSQL_CANCEL_REPEAT_S = 0.05  # a statement that only begins may miss a cancellation
MYSQL_CANCEL_S = 0.8  # then the client is answered, though the statement has not ended yet
MYSQL_PROCESS_TEXT_MAX = 4 * KIB  # of a statement, in lists of what runs

# Queries
GROWN_TEXT_BYTES_MAX = 16 * MIB  # what one call may grow a value to: DuckDB cannot stop inside one
GROWN_ELEMENTS_MAX = 1_000_000  # the same for arrays
PLANS_CACHED_MAX = 1_000  # translated statements a process keeps: a few KiB each
PLAN_VARIANTS_MAX = 16  # of one statement, that differ in literals the translation depends on
QUERY_TEXT_BYTES_MAX = 4 * MIB  # a parse takes about 1 ms a KiB
QUERY_DEPTH_MAX = 200  # nested expressions and queries, below Python's own limit
QUERY_TIMEOUT_S = 900  # Doris's query_timeout
INSERT_TIMEOUT_S = 14_400  # Doris's insert_timeout
QUERY_TIMEOUT_S_MAX = 259_200  # three days: a longer statement has been forgotten
SESSION_WARNINGS_MAX = 64  # MySQL's max_error_count: rows of SHOW WARNINGS
USER_VARIABLES_MAX = 1_000  # of one session
REPLANS_MAX = 10  # a query whose tables' schemas move under it, then 1105
ALTER_JOBS_MAX = 100  # of one catalog, for SHOW ALTER TABLE; the oldest go
LISTED_TABLES_MAX = 100_000  # what one SHOW or one query of information_schema looks at
LOG_ROWS_MAX = 1_000  # of one CALL lake_log
RESULT_BATCH_ROWS = 8_192  # rows the engine hands over at once: the first is not kept waiting
ERROR_TEXT_MAX = 512  # characters of the engine's own words in an error

# Rowsets
ROWSET_HEADER_BYTES_MAX = 2 * KIB  # of an entry's metadata: about 170 columns fit
ROWSET_AHEAD_US_MAX = 86_400 * 1_000_000  # a sequence further ahead is a clock gone wrong
SUBTREE_OPEN_ROWS_MAX = 2_000  # uncommitted rows of a table read by each query; more are sealed
SUBTREE_ROWS_CACHED_MAX = 200_000  # rowsets a process knows by heart: under 1 KiB each
SUBTREE_HEADS_KEPT = 4  # commits of one table known by heart: its branches
SCHEMAS_CACHED_MAX = 1_000  # decoded schemas a process keeps: some ten KiB each
SCHEMA_BYTES_MAX = 64 * MIB  # of one _schema.json: 4,096 columns and 4,096 partitions
BLOCK_PATHS_CACHED_MAX = 200_000  # rowset files whose place a process knows: 300 bytes each
DATABASES_MAX = 10_000  # of one catalog, and tables of one database: SHOW lists them all
LABEL_KEEP_S = 3 * 86_400  # Doris's label_keep_max_second
LABELS_EXPIRED_AT_ONCE = 100  # expired labels that one publication deletes: it must not wait long
PUBLICATIONS_AT_ONCE = 64  # of one branch in one transaction: bounds the wait of the first
ROWSET_FOOTERS_CACHED_MAX = 20_000  # opened footers: a few KiB each, more with sketches
ROW_GROUP_ROWS = 122_880  # DuckDB's own: what one thread reads at a time
ROW_GROUP_BYTES_MAX = 32 * MIB  # of rows kept until they are written
ROWSET_TINY_BYTES = 4 * KIB  # of rows in memory: a file of fewer is not compressed
ROWSET_PIECE_BYTES = 256 * KIB  # of a file handed on at a time

# Load jobs
DIRECTORY_NAMES_MAX = 1_000_000  # of one local directory that a wildcard is matched against
LOAD_FILES_MAX = 10_000  # of one data description: each is opened, and named in errors
LOAD_PATTERNS_MAX = 1_000  # that the braces of one path may stand for
LOAD_BRACES_MAX = 16  # nested in a path: expansion recurses into them
LOAD_STATEMENT_BYTES_MAX = 256 * KIB  # of a LOAD: its record is one value of the KV store
LOAD_JOBS_RUNNING_MAX = 2  # at a time in one process: each may use the whole engine
LOAD_JOBS_WAITING_MAX = 1_000  # not yet over, of one server; then clients are told to come back
LOAD_JOBS_KEPT_MAX = 2_000  # ended jobs of one database, Doris's label_num_threshold
LOAD_JOB_KEEP_S = 3 * 86_400  # Doris's label_keep_max_second: ended jobs, their error logs
INSERT_JOBS_KEPT_MAX = 1_000  # INSERTs without a label that a process lists of one database
INSERT_JOB_DATABASES_MAX = 100  # databases whose INSERTs it lists
LOAD_ATTEMPTS_MAX = 3  # processes that may die under one job before it is given up
LOAD_PLANS_MAX = 10  # of one job, when its tables' schemas keep moving
LOAD_TIMEOUT_S = 14_400  # Doris's default of a broker load
LOAD_TIMEOUT_S_MAX = 259_200  # Doris's max_load_timeout_second
STREAM_LOAD_TIMEOUT_S = 600  # Doris's default of a stream load, and of a transaction not committed
JOB_IDS_BLOCK = 1_000  # ids a process takes at once: one KV write for so many
ERROR_LOG_ROWS_MAX = 1_000  # bad rows kept of one load
ERROR_LOG_BYTES_MAX = 4 * MIB  # of one error log
ERROR_LOG_LINE_MAX = 4 * KIB  # characters of one bad row
ERROR_LOGS_MAX = 10_000  # files kept; the oldest go first
LOAD_DATA_BYTES_MAX = 10 * 1024 * MIB  # of a client's file: kept on disk while it is loaded
PREPARED_ROWSETS_MAX = 1_000  # of a transaction waiting for its commit: its record names them

# Origins of loads
ORIGIN_CONNECT_S = 10  # to a configured host
ORIGIN_READ_S = 120  # without a byte from a configured host
ORIGIN_REDIRECTS_MAX = 3  # each to a place that is configured too
ORIGIN_ANSWER_BYTES_MAX = 64 * MIB  # a WebHDFS listing of DIRECTORY_NAMES_MAX names is cut there
ORIGIN_PAGE = 1_000  # names per page of a listing

# Reading loads
LOAD_CHUNK_BYTES = 4 * MIB  # read and split at once: about a row group of an engine's thread
LOAD_LINE_BYTES_MAX = 64 * MIB  # one row of a text file, held in memory
LOAD_BATCH_ROWS = 65_536  # rows that the engine hands to a rowset's writer at once
LOAD_JSON_BYTES_MAX = 100 * MIB  # one JSON document, Doris's streaming_load_json_max_mb
LOAD_SPOOLED_BYTES_MAX = 10 * GIB  # a Parquet file that came as a stream, kept on the disk

# Doris HTTP
DORIS_CREDENTIALS_LENGTH_MAX = 4 * KIB  # of a Basic authorization, in base64
DORIS_BODY_BYTES_MAX = 1 * MIB  # of a request that is no load: connectors send a query's text
STREAM_LOAD_BYTES_MAX = 100 * GIB  # Doris's streaming_load_max_mb for CSV
STREAM_LOAD_TIMEOUT_S_MAX = 259_200  # Doris's longest: three days
STREAM_LOADS_MAX = 16  # stream loads of one process at a time: each holds a thread
STREAM_LOADS_WAITING_MAX = 256  # more of them wait; past it they are refused

# Statements that change rows
STATEMENT_RUNS_MAX = 10  # planned again when its table moved, then 1105 transaction conflict
TRANSACTION_STATEMENTS_MAX = 1_000  # each a change of its own in one write of the store
INSERT_HEADS_CACHED_MAX = 1_000  # what INSERTs say before VALUES: under 3 KiB each
PLAIN_ROWS_MAX = 500  # rows of VALUES written without the engine: above, it is faster
GROUPED_TEXT_MAX = 16 * KIB  # of VALUES that share a rowset with others: more is worth its own
PLAIN_PARTITIONS_MAX = 64  # whose bounds are read again for each INSERT of plain rows

# Folds
FOLD_TIER = 16  # files of one tier that a read opens before they become one of the next
FOLD_TAIL_BYTES = 8 * MIB  # of rowsets not folded: above it reading them again costs more
FOLD_BYTES_MAX = 4 * GIB  # of files one fold is made of: past it nobody gains by another copy
FOLD_MEMBERS_MAX = 1_000_000  # rowsets of one fold: 10 MB of names are hashed to judge it
FOLD_DELETES_MAX = 2_000  # DELETEs applied in one fold: its record names them
FOLDS_READ_MAX = 20_000  # folds of one table that a read looks at, of all partitions
FOLDS_JUDGED_MAX = 10_000  # folds a process remembers the members of, which it has anyway
FOLD_DELETES_JUDGED_MAX = 200_000  # pairs of a fold and a DELETE that a process remembers
FOLD_COVERS_CACHED_MAX = 64  # tables whose last cover a process remembers
FOLD_PLACES_WAITING_MAX = 1_000  # tables waiting for the builder; more are noticed by later reads
FOLD_RUNS_MAX = 100  # folds made of one table before others have their turn
FOLD_RETRY_S = 300  # before a run that could not be folded is tried again
FOLD_KEEP_S = 7 * 86_400  # since it was read last
FOLD_USED_S = 86_400  # how exactly that time is known: one write a day
FOLDS_SWEPT_AT_ONCE = 100  # one portion of the jobs process

# Merges of tables
MERGE_ROWSET_PAIRS_MAX = 100_000  # compared one by one; above, each side's hull is taken
MERGE_ROWS_SHOWN_MAX = 10_000  # conflicting rows listed of one table
MERGE_QUESTION_BYTES_MAX = 64 * MIB  # asked of the SQL process: 300,000 rowset paths
MERGE_QUESTIONS_MAX = 4  # judged by the SQL process at a time: each may use the whole engine
MERGE_QUESTION_TIMEOUT_S = 600  # for one table's rows: then the merge fails
BASE_ROWS_MIN = 100_000  # of a file whose other rows pass by the fold: below it folding all is fast
BASE_TIMES = 4  # as many rows as all others of its partition: a lookup costs less than a fold
