CREATE FUNCTION public.audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    DECLARE
      ignored text[] := TG_ARGV[1];
      hidden text[] := TG_ARGV[2];
      old_row jsonb := '{}';
      new_row jsonb := '{}';
      differing text[];
      told jsonb := '{}';
    BEGIN
      -- A backup brings its own audit rows.
      IF current_setting('rollcall.restoring', true) = 'on' THEN RETURN NULL; END IF;
      IF TG_OP <> 'INSERT' THEN old_row := to_jsonb(OLD) - ignored; END IF;
      IF TG_OP <> 'DELETE' THEN new_row := to_jsonb(NEW) - ignored; END IF;
      IF old_row = new_row THEN RETURN NULL; END IF;
      -- While a person is being forgotten, what they were must not be written down anew.
      IF current_setting('rollcall.forgetting', true) = 'on' THEN
        PERFORM audit_write(lower(TG_OP), TG_TABLE_NAME, NULL, '{}', NULL);
        RETURN NULL;
      END IF;
      SELECT array_agg(key) INTO differing
        FROM (SELECT jsonb_object_keys(old_row || new_row) AS key) AS keys
        WHERE old_row->key IS DISTINCT FROM new_row->key;
      IF TG_OP <> 'INSERT' THEN
        told := jsonb_build_object('before', audit_shown(old_row, differing, hidden));
      END IF;
      IF TG_OP <> 'DELETE' THEN
        told := told || jsonb_build_object('after', audit_shown(new_row, differing, hidden));
      END IF;
      PERFORM audit_write(lower(TG_OP), TG_TABLE_NAME, coalesce(new_row->>TG_ARGV[0], old_row->>TG_ARGV[0]), told, NULL);
      RETURN NULL;
    END $$;

CREATE FUNCTION public.audit_shown(of_row jsonb, keys text[], hidden text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
      SELECT coalesce(jsonb_object_agg(key, CASE
        WHEN key = ANY (hidden) AND value <> 'null' THEN to_jsonb('(hidden)'::text) ELSE value END), '{}')
      FROM jsonb_each(of_row) WHERE key = ANY (keys)
    $$;

CREATE FUNCTION public.audit_write(action text, subject_kind text, subject text, told jsonb, released jsonb) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
    DECLARE
      author jsonb := coalesce(nullif(current_setting('rollcall.author', true), ''), '{}')::jsonb;
      row_id bigint;
    BEGIN
      INSERT INTO audit_log (at, by, action, subject_kind, subject, details, released) VALUES (
        coalesce((author->>'at')::timestamptz, now()), coalesce(author->>'by', 'sql:' || session_user),
        action, subject_kind, subject, told || (author - '{at,by}'::text[]), released) RETURNING id INTO row_id;
      PERFORM ledger_list('audit', row_id);
      RETURN row_id;
    END $$;

CREATE FUNCTION public.ledger_list(kind text, row_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
    DECLARE
      listed text := coalesce(current_setting('rollcall.entries', true), '');
      ending text := format(' %s,', row_id - 1);
    BEGIN
      IF right(listed, length(ending)) = ending AND split_part(listed, ',', -2) LIKE kind || ' %' THEN
        listed := left(listed, -length(ending)) || format(' %s,', row_id);
      ELSE
        listed := listed || format('%s %s %s,', kind, row_id, row_id);
      END IF;
      PERFORM set_config('rollcall.entries', listed, true);
    END $$;

CREATE FUNCTION public.list_punch() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
      IF current_setting('rollcall.restoring', true) IS DISTINCT FROM 'on' THEN PERFORM ledger_list('punch', NEW.id); END IF;
      RETURN NULL;
    END $$;

CREATE FUNCTION public.name_order(full_name text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $_$
      SELECT ARRAY[translate(normalize(regexp_replace(normalize(substring(full_name FROM '[^[:space:]]+$'), NFD), '[\u0300\u0301\u0303-\u0305\u0307-\u031a\u031c-\u036f]', '', 'g'), NFC),
    'aăâbcdđeêfghijklmnoôơpqrstuưvwxyzAĂÂBCDĐEÊFGHIJKLMNOÔƠPQRSTUƯVWXYZ', ''), translate(normalize(substring(full_name FROM '[^[:space:]]+$'), NFD), 'aăâbcdđeêfghijklmnoôơpqrstuưvwxyzAĂÂBCDĐEÊFGHIJKLMNOÔƠPQRSTUƯVWXYẒ̛̀̉̃́̂̆', '¡¢£¤¥'), translate(normalize(regexp_replace(normalize(full_name, NFD), '[\u0300\u0301\u0303-\u0305\u0307-\u031a\u031c-\u036f]', '', 'g'), NFC),
    'aăâbcdđeêfghijklmnoôơpqrstuưvwxyzAĂÂBCDĐEÊFGHIJKLMNOÔƠPQRSTUƯVWXYZ', ''), translate(normalize(full_name, NFD), 'aăâbcdđeêfghijklmnoôơpqrstuưvwxyzAĂÂBCDĐEÊFGHIJKLMNOÔƠPQRSTUƯVWXYẒ̛̀̉̃́̂̆', '¡¢£¤¥')]
    $_$;

CREATE FUNCTION public.only_forget() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
      BEGIN
        IF to_jsonb(NEW) - 'record' = to_jsonb(OLD) - 'record'
          AND NEW.record = (OLD.record - '{candidates,face,quality,frames,claimed}'::text[]) #- '{liveness,signals}'::text[] THEN RETURN NEW; END IF;
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
      END $$;

CREATE FUNCTION public.refuse_update() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
      BEGIN
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
      END $$;

CREATE TABLE public.api_keys (
    id integer NOT NULL,
    name text NOT NULL,
    key_hash text NOT NULL,
    hint text NOT NULL,
    scopes text[] NOT NULL,
    created_by integer,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

ALTER TABLE public.api_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.attendance (
    id integer NOT NULL,
    employee_id text NOT NULL,
    device_id text,
    "timestamp" timestamp with time zone NOT NULL,
    attendance_type text NOT NULL,
    confidence_score double precision DEFAULT 0 NOT NULL,
    liveness text NOT NULL,
    decision_id integer NOT NULL,
    image_path text,
    notes text,
    corrects integer,
    is_void boolean DEFAULT false NOT NULL,
    salt uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT attendance_attendance_type_check CHECK ((attendance_type = ANY (ARRAY['IN'::text, 'OUT'::text]))),
    CONSTRAINT attendance_confidence_score_check CHECK (((confidence_score >= (0)::double precision) AND (confidence_score <= (1)::double precision))),
    CONSTRAINT attendance_liveness_check CHECK ((liveness = ANY (ARRAY['bona_fide'::text, 'attack'::text, 'undecided'::text, 'unavailable'::text]))),
    CONSTRAINT attendance_void_corrects CHECK (((NOT is_void) OR (corrects IS NOT NULL)))
);

ALTER TABLE public.attendance ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.attendance_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    by text NOT NULL,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject text,
    details jsonb,
    released jsonb,
    salt uuid DEFAULT gen_random_uuid()
);

ALTER TABLE public.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.calibrations (
    id integer NOT NULL,
    pack text NOT NULL,
    people integer NOT NULL,
    mean bytea NOT NULL,
    cohort text[],
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    is_sealed boolean DEFAULT false NOT NULL,
    threshold double precision,
    report jsonb,
    lowered_by text,
    lowered_at timestamp with time zone,
    CONSTRAINT calibrations_check CHECK (((lowered_by IS NULL) = (lowered_at IS NULL))),
    CONSTRAINT calibrations_people_check CHECK ((people > 0)),
    CONSTRAINT calibrations_threshold_check CHECK (((threshold >= (0)::double precision) AND (threshold <= (1)::double precision)))
);

ALTER TABLE public.calibrations ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.calibrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.consents (
    id integer NOT NULL,
    employee_id text NOT NULL,
    text_version text NOT NULL,
    given_at timestamp with time zone NOT NULL,
    given_by text NOT NULL,
    withdrawn_at timestamp with time zone,
    CONSTRAINT consents_check CHECK ((withdrawn_at >= given_at)),
    CONSTRAINT consents_text_version_check CHECK (((length(text_version) >= 1) AND (length(text_version) <= 100)))
);

ALTER TABLE public.consents ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.consents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.decisions (
    id integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    device_id text,
    kind text NOT NULL,
    outcome text NOT NULL,
    employee_id text,
    confidence double precision,
    pack text,
    calibration_id integer,
    duplicate_of integer,
    record jsonb NOT NULL,
    image_path text,
    CONSTRAINT decisions_check CHECK (((kind <> 'face'::text) OR (pack IS NOT NULL))),
    CONSTRAINT decisions_check1 CHECK (((outcome = 'duplicate'::text) = (duplicate_of IS NOT NULL))),
    CONSTRAINT decisions_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT decisions_kind_check CHECK ((kind = ANY (ARRAY['face'::text, 'manual'::text, 'correction'::text, 'import'::text, 'pin'::text]))),
    CONSTRAINT decisions_outcome_check CHECK ((outcome = ANY (ARRAY['identified'::text, 'not_identified'::text, 'attack'::text, 'undecided'::text, 'no_face'::text, 'several_faces'::text, 'poor_quality'::text, 'ambiguous'::text, 'duplicate'::text, 'entered'::text, 'corrected'::text, 'voided'::text, 'imported'::text, 'wrong_pin'::text])))
);

ALTER TABLE public.decisions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.device_commands (
    id integer NOT NULL,
    device_id text NOT NULL,
    command text NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    finished_at timestamp with time zone,
    result text,
    CONSTRAINT device_commands_command_check CHECK ((command = ANY (ARRAY['reload'::text, 'reset'::text, 'test_picture'::text, 'update'::text]))),
    CONSTRAINT device_commands_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'sent'::text, 'done'::text, 'failed'::text])))
);

ALTER TABLE public.device_commands ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.device_commands_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.devices (
    id integer NOT NULL,
    device_id text NOT NULL,
    name text NOT NULL,
    location text,
    ip_address text,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_heartbeat timestamp with time zone,
    config jsonb,
    site_id integer DEFAULT 1 NOT NULL,
    key_hash text,
    next_key_hash text,
    key_created_at timestamp with time zone,
    direction text DEFAULT 'AUTO'::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    config_version integer DEFAULT 0 NOT NULL,
    clock_skew_ms double precision,
    last_status text,
    app_version text,
    pad_policy text,
    signing_key text,
    CONSTRAINT devices_device_id_check CHECK ((((length(device_id) >= 1) AND (length(device_id) <= 64)) AND (device_id !~ '^[0-9]+$'::text))),
    CONSTRAINT devices_direction_check CHECK ((direction = ANY (ARRAY['IN'::text, 'OUT'::text, 'AUTO'::text]))),
    CONSTRAINT devices_pad_policy_check CHECK ((pad_policy = ANY (ARRAY['off'::text, 'flag'::text, 'enforce'::text])))
);

ALTER TABLE public.devices ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.devices_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.disputes (
    punch_id integer NOT NULL,
    device_id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    resolved_at timestamp with time zone,
    resolved_by text,
    actual_employee_id text,
    correction_id integer,
    notes text,
    CONSTRAINT disputes_check CHECK (((state = 'open'::text) = ((resolved_at IS NULL) AND (resolved_by IS NULL)))),
    CONSTRAINT disputes_state_check CHECK ((state = ANY (ARRAY['open'::text, 'confirmed'::text, 'rejected'::text])))
);

CREATE TABLE public.employees (
    id integer NOT NULL,
    employee_id text NOT NULL,
    name text NOT NULL,
    department text,
    email text,
    phone text,
    "position" text,
    is_active boolean DEFAULT true NOT NULL,
    ended_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    site_id integer DEFAULT 1 NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    key_id uuid,
    CONSTRAINT employees_check CHECK (((ended_at IS NULL) OR (NOT is_active))),
    CONSTRAINT employees_employee_id_check CHECK (((length(employee_id) >= 1) AND (length(employee_id) <= 64))),
    CONSTRAINT employees_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

ALTER TABLE public.employees ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.employees_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.erasures (
    id integer NOT NULL,
    employee_id text NOT NULL,
    key_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    by text NOT NULL,
    reason text NOT NULL,
    photos integer NOT NULL,
    templates integer NOT NULL,
    audit_id bigint NOT NULL,
    CONSTRAINT erasures_photos_check CHECK ((photos >= 0)),
    CONSTRAINT erasures_reason_check CHECK ((reason = ANY (ARRAY['erase'::text, 'consent_withdrawn'::text, 'employment_ended'::text, 'purge'::text, 'retention'::text, 'restore'::text]))),
    CONSTRAINT erasures_templates_check CHECK ((templates >= 0))
);

ALTER TABLE public.erasures ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.erasures_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.face_templates (
    id integer NOT NULL,
    employee_id text NOT NULL,
    image_id integer NOT NULL,
    pack text NOT NULL,
    filename text NOT NULL,
    file_path text NOT NULL,
    embedding_vector bytea NOT NULL,
    is_primary boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    created_from text NOT NULL,
    quality_score double precision DEFAULT 0 NOT NULL,
    confidence_score double precision DEFAULT 0 NOT NULL,
    match_count integer DEFAULT 0 NOT NULL,
    last_matched timestamp with time zone,
    avg_match_confidence double precision DEFAULT 0 NOT NULL,
    active_from timestamp with time zone,
    is_suspended boolean DEFAULT false NOT NULL,
    parent_id integer,
    learned_from integer,
    sample_id integer,
    CONSTRAINT face_templates_avg_match_confidence_check CHECK (((avg_match_confidence >= (0)::double precision) AND (avg_match_confidence <= (1)::double precision))),
    CONSTRAINT face_templates_check CHECK (((created_from = 'ATTENDANCE'::text) OR ((learned_from IS NULL) AND (parent_id IS NULL)))),
    CONSTRAINT face_templates_confidence_score_check CHECK (((confidence_score >= (0)::double precision) AND (confidence_score <= (1)::double precision))),
    CONSTRAINT face_templates_created_from_check CHECK ((created_from = ANY (ARRAY['ADMIN_UPLOAD'::text, 'ATTENDANCE'::text]))),
    CONSTRAINT face_templates_embedding_vector_check CHECK ((length(embedding_vector) > 0)),
    CONSTRAINT face_templates_image_id_check CHECK (((image_id >= 0) AND (image_id <= 3))),
    CONSTRAINT face_templates_match_count_check CHECK ((match_count >= 0)),
    CONSTRAINT face_templates_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
);

ALTER TABLE public.face_templates ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.face_templates_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.idempotency_keys (
    device_id text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

CREATE TABLE public.instance (
    only_one boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    ledger_key_check text,
    CONSTRAINT instance_only_one_check CHECK (only_one)
);

CREATE TABLE public.kiosk_events (
    id integer NOT NULL,
    device_id text NOT NULL,
    event_id uuid NOT NULL,
    signing_key text,
    seq integer NOT NULL,
    hash text NOT NULL,
    captured_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    boot_id uuid NOT NULL,
    monotonic_ms double precision NOT NULL,
    attendance_type text NOT NULL,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    outcome text NOT NULL,
    reason text,
    decision_id integer,
    punch_id integer,
    image_path text,
    state text,
    resolved_at timestamp with time zone,
    resolved_by text,
    notes text,
    CONSTRAINT kiosk_events_attendance_type_check CHECK ((attendance_type = ANY (ARRAY['IN'::text, 'OUT'::text, 'AUTO'::text]))),
    CONSTRAINT kiosk_events_check CHECK (((outcome = 'pending'::text) <= (state IS NOT NULL))),
    CONSTRAINT kiosk_events_check1 CHECK (((COALESCE(state, 'open'::text) = 'open'::text) = ((resolved_at IS NULL) AND (resolved_by IS NULL)))),
    CONSTRAINT kiosk_events_outcome_check CHECK ((outcome = ANY (ARRAY['punched'::text, 'duplicate'::text, 'pending'::text]))),
    CONSTRAINT kiosk_events_seq_check CHECK ((seq > 0)),
    CONSTRAINT kiosk_events_state_check CHECK ((state = ANY (ARRAY['open'::text, 'entered'::text, 'dismissed'::text])))
);

ALTER TABLE public.kiosk_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.kiosk_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.kysely_migration (
    name character varying(255) NOT NULL,
    "timestamp" character varying(255) NOT NULL
);

CREATE TABLE public.kysely_migration_lock (
    id character varying(255) NOT NULL,
    is_locked integer DEFAULT 0 NOT NULL
);

CREATE TABLE public.ledger (
    seq bigint NOT NULL,
    kind text NOT NULL,
    row_id bigint NOT NULL,
    digest bytea NOT NULL,
    commitment bytea NOT NULL,
    mac bytea NOT NULL,
    CONSTRAINT ledger_kind_check CHECK ((kind = ANY (ARRAY['audit'::text, 'punch'::text]))),
    CONSTRAINT ledger_seq_check CHECK ((seq > 0))
);

CREATE TABLE public.ledger_head (
    only_one boolean DEFAULT true NOT NULL,
    seq bigint NOT NULL,
    mac bytea NOT NULL,
    CONSTRAINT ledger_head_only_one_check CHECK (only_one)
);

CREATE TABLE public.liveness_challenges (
    nonce_hash text NOT NULL,
    device_id text NOT NULL,
    steps jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

CREATE TABLE public.login_failures (
    key text NOT NULL,
    failures integer NOT NULL,
    last_at timestamp with time zone NOT NULL,
    CONSTRAINT login_failures_failures_check CHECK ((failures > 0))
);

CREATE TABLE public.look_alikes (
    id integer NOT NULL,
    employee_a text NOT NULL,
    employee_b text NOT NULL,
    pack text,
    origin text NOT NULL,
    confidence double precision,
    margin double precision NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT look_alikes_check CHECK ((employee_a < employee_b)),
    CONSTRAINT look_alikes_check1 CHECK (((origin = 'calibration'::text) = (pack IS NOT NULL))),
    CONSTRAINT look_alikes_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT look_alikes_margin_check CHECK (((margin >= (0)::double precision) AND (margin <= (1)::double precision))),
    CONSTRAINT look_alikes_origin_check CHECK ((origin = ANY (ARRAY['calibration'::text, 'dispute'::text])))
);

ALTER TABLE public.look_alikes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.look_alikes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.model_switches (
    id integer NOT NULL,
    from_pack text NOT NULL,
    to_pack text NOT NULL,
    state text NOT NULL,
    total integer DEFAULT 0 NOT NULL,
    done integer DEFAULT 0 NOT NULL,
    report jsonb,
    error text,
    started_at timestamp with time zone NOT NULL,
    started_by text NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT model_switches_check CHECK ((from_pack <> to_pack)),
    CONSTRAINT model_switches_check1 CHECK (((state = ANY (ARRAY['embedding'::text, 'ready'::text])) = (finished_at IS NULL))),
    CONSTRAINT model_switches_done_check CHECK ((done >= 0)),
    CONSTRAINT model_switches_state_check CHECK ((state = ANY (ARRAY['embedding'::text, 'ready'::text, 'switched'::text, 'cancelled'::text, 'failed'::text]))),
    CONSTRAINT model_switches_total_check CHECK ((total >= 0))
);

ALTER TABLE public.model_switches ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.model_switches_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.network_logs (
    id integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    device_id text,
    ip_address text,
    action text NOT NULL,
    result text NOT NULL,
    latency_ms double precision
);

ALTER TABLE public.network_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.network_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.network_scans (
    id integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    found jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT network_scans_id_check CHECK ((id = 1))
);

CREATE TABLE public.one_time_links (
    token_hash text NOT NULL,
    purpose text NOT NULL,
    user_id integer,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT one_time_links_check CHECK (((purpose = 'setup'::text) = (user_id IS NULL))),
    CONSTRAINT one_time_links_purpose_check CHECK ((purpose = ANY (ARRAY['setup'::text, 'password'::text])))
);

CREATE TABLE public.pairing_codes (
    code_hash text NOT NULL,
    device_id text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_by integer,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.pins (
    employee_id text NOT NULL,
    pin_hash text NOT NULL,
    set_at timestamp with time zone NOT NULL
);

CREATE TABLE public.sample_embeddings (
    sample_id integer NOT NULL,
    pack text NOT NULL,
    embedding_vector bytea NOT NULL,
    CONSTRAINT sample_embeddings_embedding_vector_check CHECK ((length(embedding_vector) > 0))
);

CREATE TABLE public.samples (
    id integer NOT NULL,
    employee_id text NOT NULL,
    file_path text NOT NULL,
    filename text NOT NULL,
    content_type text NOT NULL,
    size_bytes integer NOT NULL,
    width_px integer NOT NULL,
    height_px integer NOT NULL,
    sha256 text NOT NULL,
    quality_score double precision NOT NULL,
    created_from text NOT NULL,
    is_avatar boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT samples_created_from_check CHECK ((created_from = ANY (ARRAY['ADMIN_UPLOAD'::text, 'ATTENDANCE'::text]))),
    CONSTRAINT samples_height_px_check CHECK ((height_px > 0)),
    CONSTRAINT samples_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision))),
    CONSTRAINT samples_size_bytes_check CHECK ((size_bytes > 0)),
    CONSTRAINT samples_width_px_check CHECK ((width_px > 0))
);

ALTER TABLE public.samples ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.samples_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.sessions (
    id uuid NOT NULL,
    user_id integer NOT NULL,
    refresh_hash text NOT NULL,
    previous_hash text,
    rotated_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ip_address text,
    user_agent text
);

CREATE TABLE public.sites (
    id integer NOT NULL,
    name text NOT NULL,
    time_zone text,
    allowed_networks text[] DEFAULT '{}'::text[] NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    require_consent boolean DEFAULT true NOT NULL,
    keep_pictures boolean DEFAULT false NOT NULL,
    picture_days integer DEFAULT 30 NOT NULL,
    pad_model_enough boolean DEFAULT false NOT NULL,
    pin_allowed boolean DEFAULT false NOT NULL,
    CONSTRAINT sites_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT sites_picture_days_check CHECK (((picture_days >= 1) AND (picture_days <= 3650)))
);

ALTER TABLE public.sites ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sites_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.users (
    id integer NOT NULL,
    username text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    departments text[],
    password_hash text,
    is_active boolean DEFAULT true NOT NULL,
    totp_secret bytea,
    totp_confirmed boolean DEFAULT false NOT NULL,
    totp_last_step bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_login_at timestamp with time zone,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT users_check CHECK (((role = 'manager'::text) = (departments IS NOT NULL))),
    CONSTRAINT users_check1 CHECK (((NOT totp_confirmed) OR (totp_secret IS NOT NULL))),
    CONSTRAINT users_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'hr'::text, 'manager'::text, 'viewer'::text]))),
    CONSTRAINT users_username_check CHECK (((length(username) >= 1) AND (length(username) <= 254)))
);

ALTER TABLE public.users ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_corrects_key UNIQUE (corrects);

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_decision_id_key UNIQUE (decision_id);

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.calibrations
    ADD CONSTRAINT calibrations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.device_commands
    ADD CONSTRAINT device_commands_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_device_id_key UNIQUE (device_id);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_key_hash_key UNIQUE (key_hash);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_next_key_hash_key UNIQUE (next_key_hash);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_pkey PRIMARY KEY (punch_id);

ALTER TABLE ONLY public.employees
    ADD CONSTRAINT employees_employee_id_key UNIQUE (employee_id);

ALTER TABLE ONLY public.employees
    ADD CONSTRAINT employees_key_id_key UNIQUE (key_id);

ALTER TABLE ONLY public.employees
    ADD CONSTRAINT employees_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.face_templates
    ADD CONSTRAINT face_templates_employee_id_image_id_pack_key UNIQUE (employee_id, image_id, pack);

ALTER TABLE ONLY public.face_templates
    ADD CONSTRAINT face_templates_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (device_id, key);

ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.kiosk_events
    ADD CONSTRAINT kiosk_events_device_id_event_id_key UNIQUE (device_id, event_id);

ALTER TABLE ONLY public.kiosk_events
    ADD CONSTRAINT kiosk_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.kysely_migration_lock
    ADD CONSTRAINT kysely_migration_lock_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.kysely_migration
    ADD CONSTRAINT kysely_migration_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.ledger_head
    ADD CONSTRAINT ledger_head_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_kind_row_id_key UNIQUE (kind, row_id);

ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY public.liveness_challenges
    ADD CONSTRAINT liveness_challenges_pkey PRIMARY KEY (nonce_hash);

ALTER TABLE ONLY public.login_failures
    ADD CONSTRAINT login_failures_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.look_alikes
    ADD CONSTRAINT look_alikes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.model_switches
    ADD CONSTRAINT model_switches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.network_logs
    ADD CONSTRAINT network_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.network_scans
    ADD CONSTRAINT network_scans_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.one_time_links
    ADD CONSTRAINT one_time_links_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.pairing_codes
    ADD CONSTRAINT pairing_codes_device_id_key UNIQUE (device_id);

ALTER TABLE ONLY public.pairing_codes
    ADD CONSTRAINT pairing_codes_pkey PRIMARY KEY (code_hash);

ALTER TABLE ONLY public.pins
    ADD CONSTRAINT pins_pkey PRIMARY KEY (employee_id);

ALTER TABLE ONLY public.sample_embeddings
    ADD CONSTRAINT sample_embeddings_pkey PRIMARY KEY (sample_id, pack);

ALTER TABLE ONLY public.samples
    ADD CONSTRAINT samples_employee_id_sha256_key UNIQUE (employee_id, sha256);

ALTER TABLE ONLY public.samples
    ADD CONSTRAINT samples_file_path_key UNIQUE (file_path);

ALTER TABLE ONLY public.samples
    ADD CONSTRAINT samples_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_previous_hash_key UNIQUE (previous_hash);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_refresh_hash_key UNIQUE (refresh_hash);

ALTER TABLE ONLY public.sites
    ADD CONSTRAINT sites_name_key UNIQUE (name);

ALTER TABLE ONLY public.sites
    ADD CONSTRAINT sites_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX attendance_device_timestamp ON public.attendance USING btree (device_id, "timestamp" DESC);

CREATE INDEX attendance_employee_timestamp ON public.attendance USING btree (employee_id, "timestamp" DESC);

CREATE INDEX attendance_timestamp ON public.attendance USING btree ("timestamp" DESC);

CREATE INDEX audit_log_by ON public.audit_log USING btree (by, id);

CREATE INDEX audit_log_subject ON public.audit_log USING btree (subject_kind, subject, id);

CREATE INDEX consents_employee ON public.consents USING btree (employee_id);

CREATE INDEX decisions_created_at ON public.decisions USING btree (created_at);

CREATE INDEX decisions_employee ON public.decisions USING btree (employee_id, created_at);

CREATE INDEX decisions_to_forget ON public.decisions USING btree (created_at) WHERE ((record ?| '{candidates,face,quality,frames,claimed}'::text[]) OR ((record #> '{liveness,signals}'::text[]) IS NOT NULL));

CREATE INDEX device_commands_device ON public.device_commands USING btree (device_id, id DESC);

CREATE INDEX disputes_open ON public.disputes USING btree (created_at) WHERE (state = 'open'::text);

CREATE INDEX employees_department ON public.employees USING btree (department);

CREATE INDEX employees_name_order ON public.employees USING btree (public.name_order(name) COLLATE "C", id);

CREATE INDEX erasures_employee ON public.erasures USING btree (employee_id);

CREATE INDEX erasures_key ON public.erasures USING btree (key_id);

CREATE INDEX face_templates_learned_from ON public.face_templates USING btree (learned_from) WHERE (learned_from IS NOT NULL);

CREATE INDEX face_templates_parent ON public.face_templates USING btree (parent_id) WHERE (parent_id IS NOT NULL);

CREATE INDEX face_templates_sample ON public.face_templates USING btree (sample_id) WHERE (sample_id IS NOT NULL);

CREATE INDEX idempotency_keys_created_at ON public.idempotency_keys USING btree (created_at);

CREATE INDEX kiosk_events_decision ON public.kiosk_events USING btree (decision_id) WHERE (decision_id IS NOT NULL);

CREATE INDEX kiosk_events_last ON public.kiosk_events USING btree (device_id, id);

CREATE INDEX kiosk_events_open ON public.kiosk_events USING btree (id) WHERE (state = 'open'::text);

CREATE INDEX kiosk_events_punch ON public.kiosk_events USING btree (punch_id) WHERE (punch_id IS NOT NULL);

CREATE INDEX liveness_challenges_device ON public.liveness_challenges USING btree (device_id);

CREATE INDEX liveness_challenges_expires ON public.liveness_challenges USING btree (expires_at);

CREATE INDEX look_alikes_b ON public.look_alikes USING btree (employee_b);

CREATE UNIQUE INDEX look_alikes_pair ON public.look_alikes USING btree (employee_a, employee_b, COALESCE(pack, ''::text));

CREATE UNIQUE INDEX model_switches_open ON public.model_switches USING btree ((true)) WHERE (finished_at IS NULL);

CREATE INDEX network_logs_device ON public.network_logs USING btree (device_id, created_at DESC);

CREATE INDEX network_logs_time ON public.network_logs USING btree (created_at);

CREATE UNIQUE INDEX samples_one_avatar ON public.samples USING btree (employee_id) WHERE is_avatar;

CREATE INDEX sessions_user ON public.sessions USING btree (user_id);

CREATE UNIQUE INDEX users_username ON public.users USING btree (lower(username));

CREATE TRIGGER attendance_is_final BEFORE UPDATE ON public.attendance FOR EACH ROW EXECUTE FUNCTION public.refuse_update();

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.api_keys FOR EACH ROW EXECUTE FUNCTION public.audit_change('id', '{last_used_at}', '{key_hash}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.calibrations FOR EACH ROW EXECUTE FUNCTION public.audit_change('id', '{}', '{mean,cohort,report}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.consents FOR EACH ROW EXECUTE FUNCTION public.audit_change('employee_id', '{}', '{}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.devices FOR EACH ROW EXECUTE FUNCTION public.audit_change('device_id', '{version,last_heartbeat,clock_skew_ms,last_status,app_version}', '{key_hash,next_key_hash}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.disputes FOR EACH ROW EXECUTE FUNCTION public.audit_change('punch_id', '{}', '{actual_employee_id,notes}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.employees FOR EACH ROW EXECUTE FUNCTION public.audit_change('employee_id', '{version,updated_at}', '{}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.erasures FOR EACH ROW EXECUTE FUNCTION public.audit_change('key_id', '{}', '{}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF employee_id, image_id, pack, filename, file_path, embedding_vector, quality_score ON public.face_templates FOR EACH ROW EXECUTE FUNCTION public.audit_change('employee_id', '{updated_at,match_count,last_matched,avg_match_confidence}', '{embedding_vector}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.kiosk_events FOR EACH ROW EXECUTE FUNCTION public.audit_change('device_id', '{image_path}', '{}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.model_switches FOR EACH ROW EXECUTE FUNCTION public.audit_change('id', '{total,done,report}', '{}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.pairing_codes FOR EACH ROW EXECUTE FUNCTION public.audit_change('device_id', '{}', '{code_hash}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.pins FOR EACH ROW EXECUTE FUNCTION public.audit_change('employee_id', '{}', '{pin_hash}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.samples FOR EACH ROW EXECUTE FUNCTION public.audit_change('employee_id', '{}', '{sha256}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.sites FOR EACH ROW EXECUTE FUNCTION public.audit_change('id', '{version,updated_at}', '{}');

CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.audit_change('id', '{version,updated_at,last_login_at,totp_last_step}', '{password_hash,totp_secret}');

CREATE TRIGGER decisions_are_final BEFORE UPDATE ON public.decisions FOR EACH ROW EXECUTE FUNCTION public.only_forget();

CREATE TRIGGER ledger AFTER INSERT ON public.attendance FOR EACH ROW EXECUTE FUNCTION public.list_punch();

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_corrects_fkey FOREIGN KEY (corrects) REFERENCES public.attendance(id);

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES public.decisions(id);

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id);

ALTER TABLE ONLY public.attendance
    ADD CONSTRAINT attendance_employee_id_fkey FOREIGN KEY (employee_id) REFERENCES public.employees(employee_id);

ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_employee_id_fkey FOREIGN KEY (employee_id) REFERENCES public.employees(employee_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_calibration_id_fkey FOREIGN KEY (calibration_id) REFERENCES public.calibrations(id);

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id);

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_duplicate_of_fkey FOREIGN KEY (duplicate_of) REFERENCES public.attendance(id);

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_employee_id_fkey FOREIGN KEY (employee_id) REFERENCES public.employees(employee_id);

ALTER TABLE ONLY public.device_commands
    ADD CONSTRAINT device_commands_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_site_id_fkey FOREIGN KEY (site_id) REFERENCES public.sites(id);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_actual_employee_id_fkey FOREIGN KEY (actual_employee_id) REFERENCES public.employees(employee_id) ON DELETE SET NULL;

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_correction_id_fkey FOREIGN KEY (correction_id) REFERENCES public.attendance(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_punch_id_fkey FOREIGN KEY (punch_id) REFERENCES public.attendance(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.employees
    ADD CONSTRAINT employees_site_id_fkey FOREIGN KEY (site_id) REFERENCES public.sites(id);

ALTER TABLE ONLY public.face_templates
    ADD CONSTRAINT face_templates_employee_id_fkey FOREIGN KEY (employee_id) REFERENCES public.employees(employee_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.face_templates
    ADD CONSTRAINT face_templates_learned_from_fkey FOREIGN KEY (learned_from) REFERENCES public.attendance(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.face_templates
    ADD CONSTRAINT face_templates_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.face_templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.face_templates
    ADD CONSTRAINT face_templates_sample_id_fkey FOREIGN KEY (sample_id) REFERENCES public.samples(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.kiosk_events
    ADD CONSTRAINT kiosk_events_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES public.decisions(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.kiosk_events
    ADD CONSTRAINT kiosk_events_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id);

ALTER TABLE ONLY public.kiosk_events
    ADD CONSTRAINT kiosk_events_punch_id_fkey FOREIGN KEY (punch_id) REFERENCES public.attendance(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.liveness_challenges
    ADD CONSTRAINT liveness_challenges_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.look_alikes
    ADD CONSTRAINT look_alikes_employee_a_fkey FOREIGN KEY (employee_a) REFERENCES public.employees(employee_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.look_alikes
    ADD CONSTRAINT look_alikes_employee_b_fkey FOREIGN KEY (employee_b) REFERENCES public.employees(employee_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.one_time_links
    ADD CONSTRAINT one_time_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.pairing_codes
    ADD CONSTRAINT pairing_codes_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.pairing_codes
    ADD CONSTRAINT pairing_codes_device_id_fkey FOREIGN KEY (device_id) REFERENCES public.devices(device_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.pins
    ADD CONSTRAINT pins_employee_id_fkey FOREIGN KEY (employee_id) REFERENCES public.employees(employee_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sample_embeddings
    ADD CONSTRAINT sample_embeddings_sample_id_fkey FOREIGN KEY (sample_id) REFERENCES public.samples(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.samples
    ADD CONSTRAINT samples_employee_id_fkey FOREIGN KEY (employee_id) REFERENCES public.employees(employee_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
