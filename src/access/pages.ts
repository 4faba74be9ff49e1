import { readFile } from 'node:fs/promises'
import { AppError } from '../shared/errors.ts'
import type { App } from '../shared/http.ts'

/** The two pages that a one-time link leads to: the first owner's, and the one where a password is chosen. */
export function linkPages(app: App): void {
  const open = { config: { access: 'public' }, schema: { hide: true } } as const
  const html = 'text/html; charset=utf-8'
  app.get('/setup', open, (_request, reply) =>
    reply.type(html).send(page('Make the owner', '/api/v1/auth/setup', true)),
  )
  app.get('/reset', open, (_request, reply) =>
    reply.type(html).send(page('Choose a password', '/api/v1/auth/reset', false)),
  )
  // A file of its own, because the content security policy forbids scripts inside a page.
  app.get('/link-page.js', open, (_request, reply) =>
    reply.type('text/javascript; charset=utf-8').send(script),
  )
  app.get('/link-page.css', open, (_request, reply) => reply.type('text/css; charset=utf-8').send(style))
}

/** The CA that `rollcall tls init` made, as `file`, for the devices that are to trust it. */
export function caRoute(app: App, file: string): void {
  app.get('/ca.crt', { config: { access: 'public' }, schema: { hide: true } }, async (_request, reply) => {
    const certificate = await readFile(file).catch(() => {
      throw new AppError('not_found', 'This server has no CA of its own.')
    })
    return reply.type('application/x-x509-ca-cert').send(certificate)
  })
}

function page(title: string, action: string, named: boolean): string {
  const name = named
    ? '<label>Name to sign in with <input name="username" autocomplete="username" required maxlength="254"></label>'
    : ''
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer">
<title>${title} · Rollcall</title>
<link rel="stylesheet" href="/link-page.css">
<script src="/link-page.js" defer></script>
<main>
  <h1>${title}</h1>
  <form data-action="${action}">
    ${name}
    <label>Password, at least 10 characters
      <input name="password" type="password" autocomplete="new-password" required minlength="10" maxlength="200"></label>
    <label>The same once more
      <input name="again" type="password" autocomplete="new-password" required></label>
    <button>${title}</button>
    <p role="status"></p>
  </form>
</main>
</html>
`
}

const script = `const form = document.querySelector('form')
const status = document.querySelector('[role=status]')
const token = new URLSearchParams(location.search).get('token')
// The address is copied and kept by browsers; the token in it has no business there.
history.replaceState(null, '', location.pathname)
if (!token) status.textContent = 'This address lacks its token: open the whole link.'
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const { username, password, again } = Object.fromEntries(new FormData(form))
  if (password !== again) {
    status.textContent = 'The two passwords differ.'
    return
  }
  status.textContent = '…'
  try {
    const response = await fetch(form.dataset.action, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, password, ...(username ? { username } : {}) }),
    })
    const answer = await response.json()
    status.textContent = response.ok ? 'Done. You can sign in now.' : answer.message
    if (response.ok) form.querySelector('button').disabled = true
  } catch {
    status.textContent = 'The server does not answer. Try again.'
  }
})
`

const style = `body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #f4f5f7; color: #1d2330 }
main { max-width: 26rem; margin: 10vh auto; padding: 2rem; background: #fff; border-radius: .5rem }
h1 { font-size: 1.4rem; margin-top: 0 }
label { display: block; margin-bottom: 1rem }
input { display: block; width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; margin-top: .25rem }
button { font: inherit; padding: .6rem 1.2rem; background: #1d4ed8; color: #fff; border: 0; border-radius: .3rem }
button:disabled { background: #6b7280 }
`
