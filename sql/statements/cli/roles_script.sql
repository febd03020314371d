-- SPDX-License-Identifier: MIT
-- A script that lets this login migrate this database, for a login that may make roles. The script may be
-- run again.
-- returns: script text
SELECT format($$-- What %1$I needs for `awa migrate` in database %2$I. For a superuser; or for a login
-- with CREATEROLE that has the ADMIN OPTION of those of these roles that exist, and for the last line
-- owns the database.
DO $roles$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['awa_owner', 'awa_producer', 'awa_bulk_producer', 'awa_worker',
                                'awa_operator', 'awa_viewer'] LOOP
        IF to_regrole(role) IS NULL THEN
            EXECUTE format('CREATE ROLE %%I NOLOGIN', role);
        END IF;
    END LOOP;
END
$roles$;
GRANT awa_owner TO %1$I;
-- So that it can hand them out:
GRANT awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer TO %1$I
 WITH ADMIN OPTION;
GRANT CREATE ON DATABASE %2$I TO %1$I;$$, current_user, current_database()) AS script
