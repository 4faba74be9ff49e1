// Exit code 0 when the server in this container answers: Docker's HEALTHCHECK. Plain JavaScript on Node alone.
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'

const port = process.env.PORT || 8000
// Inside of its own container there is nobody else whom a certificate would keep away.
const options = { rejectUnauthorized: false, timeout: 4000 }

/** Whether /health/live says 200. */
const lives = (get, scheme) =>
  new Promise((resolve) => {
    const asking = get(`${scheme}://127.0.0.1:${port}/health/live`, options, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    asking.on('timeout', () => asking.destroy())
    asking.on('error', () => resolve(false))
  })

process.exit((await lives(getHttp, 'http')) || (await lives(getHttps, 'https')) ? 0 : 1)
