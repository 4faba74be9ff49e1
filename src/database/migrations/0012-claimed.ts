import { type Kysely, sql } from 'kysely'
import { onlyForget } from './0009-recognition.ts'

const left =
  "(OLD.record - '{candidates,face,quality,frames,claimed}'::text[]) #- '{liveness,signals}'::text[]"
const leftBefore = "(OLD.record - '{candidates,face,quality,frames}'::text[]) #- '{liveness,signals}'::text[]"

/** Who the person of a check said to be names somebody else at times, and is forgotten as the candidates are. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    onlyForget(left),
    sql`DROP INDEX decisions_to_forget`,
    sql`CREATE INDEX decisions_to_forget ON decisions (created_at)
      WHERE record ?| '{candidates,face,quality,frames,claimed}' OR record #> '{liveness,signals}' IS NOT NULL`,
  ]
  for (const statement of statements) await statement.execute(db)
}

/** Decisions that came with an employee code lose their measures: the program before this one does not forget a code. */
export async function down(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`UPDATE decisions
      SET record = (record - '{candidates,face,quality,frames,claimed}'::text[]) #- '{liveness,signals}'::text[]
      WHERE record ? 'claimed'`,
    sql`DROP INDEX decisions_to_forget`,
    sql`CREATE INDEX decisions_to_forget ON decisions (created_at)
      WHERE record ?| '{candidates,face,quality,frames}' OR record #> '{liveness,signals}' IS NOT NULL`,
    onlyForget(leftBefore),
  ]
  for (const statement of statements) await statement.execute(db)
}
