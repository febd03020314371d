-- SPDX-License-Identifier: MIT
-- Make the roles and the grant that roles_missing lists, as far as this login may. Roles belong to the
-- whole cluster, so a migration of another database may make them at the same time.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['awa_owner', 'awa_producer', 'awa_bulk_producer', 'awa_worker',
                                  'awa_operator', 'awa_viewer'] LOOP
        BEGIN
            IF to_regrole(v_role) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
            NULL;
        END;
    END LOOP;
    -- Since version 16, the login that made a role may grant it, but may not become it without a grant.
    IF NOT pg_has_role('awa_owner', CASE WHEN current_setting('server_version_num')::int < 160000
                                         THEN 'MEMBER' ELSE 'SET' END) THEN
        EXECUTE format('GRANT awa_owner TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege OR undefined_object OR invalid_grant_operation THEN
    NULL;
END
$$
