-- Version 6. A position belongs to what a file holds, not to a name or an inode: that content keeps its number
-- whatever file of the log it lies in. The order of the rowids is that of recency.
ALTER TABLE positions RENAME TO positions_5;
CREATE TABLE positions (path TEXT NOT NULL, content INTEGER NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL,
                        head BLOB NOT NULL, tail BLOB NOT NULL, PRIMARY KEY (path, content));
INSERT INTO positions SELECT path, rowid, inode, offset, head, tail FROM positions_5 ORDER BY rowid;
DROP TABLE positions_5;
