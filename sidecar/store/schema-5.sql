-- Version 5. Who logged in from where, and (account '') with which mail servers we deal.
CREATE TABLE good (network BLOB NOT NULL, account TEXT NOT NULL, at REAL NOT NULL,
                   PRIMARY KEY (network, account));
