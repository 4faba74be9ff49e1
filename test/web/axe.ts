import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const source = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** The serious faults that axe-core finds on the page as it is now: which rule, and where. */
export async function seriousFaults(page: Page): Promise<string[]> {
  // Not as a script element: the page's own policy would refuse it.
  const { readFile } = await import('node:fs/promises')
  await page.evaluate(await readFile(source, 'utf8'))
  const { violations } = (await page.evaluate('axe.run()')) as {
    violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[]
  }
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`))
}
