import { type Kysely, sql } from 'kysely'
import { auditTable } from './0007-ledger.ts'

/** Keys of people, certificates of erasure, and what a site says of pictures and consent. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Which key in the vault a person's photos and templates are sealed with. No two people have one in common.
    sql`ALTER TABLE employees ADD COLUMN key_id uuid UNIQUE`,
    // What is sealed is as long as it is; the program seals what is there already when it starts.
    sql`ALTER TABLE sample_embeddings
      DROP CONSTRAINT sample_embeddings_embedding_vector_check,
      ADD CONSTRAINT sample_embeddings_embedding_vector_check CHECK (length(embedding_vector) > 0)`,
    sql`ALTER TABLE face_templates
      DROP CONSTRAINT face_templates_embedding_vector_check,
      ADD CONSTRAINT face_templates_embedding_vector_check CHECK (length(embedding_vector) > 0)`,
    sql`ALTER TABLE calibrations ADD COLUMN is_sealed boolean NOT NULL DEFAULT false`,

    // No foreign key: a certificate outlives the person's row.
    sql`CREATE TABLE erasures (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_id text NOT NULL,
      key_id uuid NOT NULL,
      at timestamptz NOT NULL,
      by text NOT NULL,
      reason text NOT NULL CHECK (reason IN ('erase', 'consent_withdrawn', 'employment_ended', 'purge', 'retention',
        'restore')),
      photos integer NOT NULL CHECK (photos >= 0),
      templates integer NOT NULL CHECK (templates >= 0),
      audit_id bigint NOT NULL
    )`,
    sql`CREATE INDEX erasures_employee ON erasures (employee_id)`,
    sql`CREATE INDEX erasures_key ON erasures (key_id)`,
    auditTable({ table: 'erasures', subject: 'key_id' }),

    sql`ALTER TABLE sites
      ADD COLUMN require_consent boolean NOT NULL DEFAULT true,
      ADD COLUMN keep_pictures boolean NOT NULL DEFAULT false,
      ADD COLUMN picture_days integer NOT NULL DEFAULT 30 CHECK (picture_days BETWEEN 1 AND 3650)`,

    // Punches that another system made; what vouches for them names it.
    sql`ALTER TABLE decisions
      DROP CONSTRAINT decisions_kind_check,
      DROP CONSTRAINT decisions_outcome_check,
      ADD CONSTRAINT decisions_kind_check CHECK (kind IN ('face', 'manual', 'correction', 'import')),
      ADD CONSTRAINT decisions_outcome_check CHECK (outcome IN ('identified', 'not_identified', 'attack',
        'undecided', 'no_face', 'several_faces', 'poor_quality', 'ambiguous', 'duplicate', 'entered', 'corrected',
        'voided', 'imported'))`,

    // The picture of a check that made no punch.
    sql`ALTER TABLE decisions ADD COLUMN image_path text`,
    // A decision is never changed, but whom else a face resembled and what was measured of it may be forgotten.
    sql`CREATE FUNCTION only_forget() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF to_jsonb(NEW) - 'record' = to_jsonb(OLD) - 'record'
          AND NEW.record = OLD.record - '{candidates,face,quality}'::text[] THEN RETURN NEW; END IF;
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
      END $$`,
    sql`DROP TRIGGER decisions_are_final ON decisions`,
    sql`CREATE TRIGGER decisions_are_final BEFORE UPDATE ON decisions
      FOR EACH ROW EXECUTE FUNCTION only_forget()`,
    sql`CREATE INDEX decisions_to_forget ON decisions (created_at) WHERE record ?| '{candidates,face,quality}'`,
  ]
  for (const statement of statements) await statement.execute(db)
}

/** Fails, and changes nothing, where anything is sealed: the program before this one could not read it. */
export async function down(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`DO $$ BEGIN
      IF EXISTS (SELECT FROM employees WHERE key_id IS NOT NULL) OR EXISTS (SELECT FROM calibrations WHERE is_sealed)
      THEN RAISE EXCEPTION 'photos and templates are sealed: restore the backup that was made before the update';
      END IF;
    END $$`,
    // Fails where punches were imported: they are pay evidence.
    sql`ALTER TABLE decisions
      DROP CONSTRAINT decisions_kind_check,
      DROP CONSTRAINT decisions_outcome_check,
      ADD CONSTRAINT decisions_kind_check CHECK (kind IN ('face', 'manual', 'correction')),
      ADD CONSTRAINT decisions_outcome_check CHECK (outcome IN ('identified', 'not_identified', 'attack',
        'undecided', 'no_face', 'several_faces', 'poor_quality', 'ambiguous', 'duplicate', 'entered', 'corrected',
        'voided'))`,
    sql`DROP INDEX decisions_to_forget`,
    sql`DROP TRIGGER decisions_are_final ON decisions`,
    sql`CREATE TRIGGER decisions_are_final BEFORE UPDATE ON decisions
      FOR EACH ROW EXECUTE FUNCTION refuse_update()`,
    sql`DROP FUNCTION only_forget()`,
    sql`ALTER TABLE decisions DROP COLUMN image_path`,
    sql`ALTER TABLE sites DROP COLUMN require_consent, DROP COLUMN keep_pictures, DROP COLUMN picture_days`,
    sql`DROP TABLE erasures`,
    sql`ALTER TABLE calibrations DROP COLUMN is_sealed`,
    sql`ALTER TABLE face_templates
      DROP CONSTRAINT face_templates_embedding_vector_check,
      ADD CONSTRAINT face_templates_embedding_vector_check
        CHECK (length(embedding_vector) > 0 AND length(embedding_vector) % 4 = 0)`,
    sql`ALTER TABLE sample_embeddings
      DROP CONSTRAINT sample_embeddings_embedding_vector_check,
      ADD CONSTRAINT sample_embeddings_embedding_vector_check
        CHECK (length(embedding_vector) > 0 AND length(embedding_vector) % 4 = 0)`,
    sql`ALTER TABLE employees DROP COLUMN key_id`,
  ]
  for (const statement of statements) await statement.execute(db)
}
