import { z } from 'zod'
import { configSchema } from '../shared/config.ts'

/** A .env file with every setting, its meaning and its default, each commented out. */
export function envExample(): string {
  // As it is written, before it is read.
  const { properties = {} } = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
  const settings = Object.entries(properties).map(([name, setting]) => {
    const { description, default: written } = setting as { description?: string; default?: unknown }
    const { data: meant } = configSchema.shape[name as keyof typeof configSchema.shape].safeParse(undefined)
    const value = written ?? (typeof meant === 'boolean' ? meant : '')
    return `# ${description}\n#${name}=${value}\n`
  })
  const head =
    '# The settings of Rollcall: copy this file to .env and remove the # before what you change. The environment goes\n' +
    '# before it. Made from src/shared/config.ts with: rollcall settings > .env.example\n'
  return [head, ...settings].join('\n')
}
