-- Version 3. Each file of a log keeps how far it was read: the current one, a renamed one, a copy. An inode may
-- bear another file later, so what a file begins with tells it as well. A row that is
-- written again gets a new rowid, so that the order of the rowids is that of recency.
ALTER TABLE positions RENAME TO positions_2;
CREATE TABLE positions (path TEXT NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL, head BLOB NOT NULL,
                        tail BLOB NOT NULL, PRIMARY KEY (path, inode, head));
INSERT INTO positions SELECT path, inode, offset, head, x'' FROM positions_2;
DROP TABLE positions_2;
