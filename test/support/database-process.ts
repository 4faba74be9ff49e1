// A process of its own for tests: node --import tsx database-process.ts <task> <folder or url>
import { once } from 'node:events'
import { openDatabase } from '../../src/database/connect.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'

const [task, place] = process.argv.slice(2) as [string, string]
const say = (line: string) => process.stdout.write(`${line}\n`)

try {
  const where = place.startsWith('postgresql:') ? { url: place, dataDir: '' } : { dataDir: place }
  const { db, close } = await openDatabase(where)
  if (task === 'hold') {
    say('open')
    setInterval(() => {}, 1000)
  }
  if (task === 'migrate') {
    say('ready')
    await once(process.stdin, 'data')
    await migrateToLatest(db)
    say('migrated')
    process.stdin.destroy()
    await close()
  }
  if (task === 'write' || task === 'write-100') {
    await migrateToLatest(db)
    say('open')
    for (let row = 1; task === 'write' || row <= 100; row++) {
      const employee_id = `P${process.pid}-${row}`
      await db.insertInto('employees').values({ employee_id, name: 'Ann' }).execute()
      say(employee_id)
    }
    await close()
  }
} catch (error) {
  say(`refused: ${(error as Error).message}`)
  process.exitCode = 1
}
