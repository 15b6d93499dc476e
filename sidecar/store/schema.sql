-- Version 1. A network is a blob: version, prefix length, address in network byte order.
CREATE TABLE positions (path TEXT PRIMARY KEY, inode INTEGER NOT NULL, offset INTEGER NOT NULL,
                        head BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (jail TEXT NOT NULL, network BLOB NOT NULL, at REAL NOT NULL, line TEXT NOT NULL);
CREATE INDEX failures_of ON failures (network, jail);
CREATE TABLE bans (network BLOB NOT NULL, jail TEXT NOT NULL, at REAL NOT NULL, until REAL,
                   origin TEXT NOT NULL, reason TEXT NOT NULL, failures INTEGER NOT NULL,
                   count INTEGER NOT NULL, dry INTEGER NOT NULL, evidence TEXT NOT NULL,
                   PRIMARY KEY (network, jail));
CREATE TABLE history (network BLOB NOT NULL, jail TEXT NOT NULL, at REAL NOT NULL, until REAL,
                      ended REAL NOT NULL, why TEXT NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL,
                      failures INTEGER NOT NULL, count INTEGER NOT NULL);
CREATE INDEX history_of ON history (network, jail);
CREATE TABLE allowed (network BLOB PRIMARY KEY, at REAL NOT NULL, until REAL, reason TEXT NOT NULL) WITHOUT ROWID;
