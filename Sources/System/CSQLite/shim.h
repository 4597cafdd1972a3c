#ifndef SKERRY_CSQLITE_SHIM_H
#define SKERRY_CSQLITE_SHIM_H
#include <sqlite3.h>

// SQLITE_STATIC and SQLITE_TRANSIENT are casts of integers to function pointers, which Swift cannot import.
static inline int skerry_bind_blob_transient(sqlite3_stmt *s, int i, const void *p, int n) {
    return p ? sqlite3_bind_blob(s, i, p, n, SQLITE_TRANSIENT) : sqlite3_bind_zeroblob(s, i, 0);
}
static inline int skerry_bind_text_transient(sqlite3_stmt *s, int i, const char *p, int n) {
    return sqlite3_bind_text(s, i, p, n, SQLITE_TRANSIENT);
}
// sqlite3_config and sqlite3_db_config are variadic, which Swift cannot call.
static inline int skerry_db_config_int(sqlite3 *db, int op, int value) {
    int seen = 0;
    return sqlite3_db_config(db, op, value, &seen);
}
static inline int skerry_config_int(int op, int value) {
    return sqlite3_config(op, value);
}
#endif
