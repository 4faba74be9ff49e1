/** The parts of an OpenAPI operation that the page shows. */
interface Operation {
  tags: string[]
  summary: string
  'x-permission': string
}

/** A script: each call goes on with what those before it left. */
export const calls = [
  [
    'Sign in',
    `ROLLCALL=http://127.0.0.1:8000
field() { node -pe 'JSON.parse(fs.readFileSync(0))[process.argv[1]]' "$1"; }
TOKEN=$(curl -s -c cookies "$ROLLCALL/api/v1/auth/login" -H 'Content-Type: application/json' \\
  -d '{"username":"ann@example.com","password":"correct horse battery"}' | field access_token)`,
    'The refresh token is a cookie. `field` takes one field out of an answer; the calls below go on with its variables.',
  ],
  [
    'Make a key for a program',
    `API_KEY=$(curl -s "$ROLLCALL/api/v1/auth/api-keys" -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"Payroll","scopes":["employees:read","attendance:read"]}' | field key)`,
    'The answer shows `key` this once. A program sends it as `X-API-Key` instead of `Authorization`.',
  ],
  [
    'Create an employee',
    `curl "$ROLLCALL/api/v1/employees" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{"name":"Nguyễn Văn A","department":"IT","employee_id":"EMP_001"}'`,
    'Without an `employee_id` one is made.',
  ],
  [
    'Enrol a photo',
    `curl "$ROLLCALL/api/v1/employees/EMP_001/upload-photo" -H "Authorization: Bearer $TOKEN" -F photo=@a.jpg -F consent=2025-03`,
    'JPEG, PNG or WebP with one face. `consent` is the version of the text that the person agreed to.',
  ],
  [
    'Pair a kiosk',
    `curl "$ROLLCALL/api/v1/devices/register" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{"device_id":"KIOSK_001","name":"Main entrance"}'
CODE=$(curl -s -X POST "$ROLLCALL/api/v1/devices/KIOSK_001/pair" -H "Authorization: Bearer $TOKEN" | field code)
DEVICE_KEY=$(curl -s "$ROLLCALL/api/v1/devices/pair" -H 'Content-Type: application/json' \\
  -d "{\\"code\\":\\"$CODE\\"}" | field device_key)`,
    'The second call answers a code that is good once and for a short time; the third, made by the kiosk, ' +
      'exchanges it for `device_key`.',
  ],
  [
    'Check in',
    `ONCE=$(node -p 'crypto.randomUUID()')
curl "$ROLLCALL/api/v1/attendance/check" -H "X-Device-Key: $DEVICE_KEY" -H "Idempotency-Key: $ONCE" \\
  -F image=@face.jpg -F device_id=KIOSK_001 -F attendance_type=IN
curl -i "$ROLLCALL/api/v1/attendance/check" -H "X-Device-Key: $DEVICE_KEY" -H "Idempotency-Key: $ONCE" \\
  -F image=@face.jpg -F device_id=KIOSK_001 -F attendance_type=IN`,
    "A key of the sender's own for each check: sent again with the same one it answers the first result, with the " +
      'header `Idempotent-Replayed: true`.',
  ],
  [
    'List punches',
    `curl -i "$ROLLCALL/api/v1/attendance?from=2025-03-01T00:00:00%2B07:00&limit=100" -H "X-API-Key: $API_KEY"`,
    '`X-Total-Count` and `Link` tell of the other pages.',
  ],
  [
    'Enter a punch by hand',
    `curl "$ROLLCALL/api/v1/attendance/manual" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{"employee_id":"EMP_001","attendance_type":"OUT","timestamp":"2025-03-03T17:30:00+07:00","notes":"Kiosk was off"}'`,
    'Its decision record says who entered it.',
  ],
  [
    'Export the staff',
    `curl "$ROLLCALL/api/v1/employees/export?format=xlsx" -H "X-API-Key: $API_KEY" -o staff.xlsx`,
    'CSV without `format`.',
  ],
  ['Ask whether it is well', `curl "$ROLLCALL/health"`, '503 when it cannot do its work.'],
]

/** docs/API.md: the ten calls that matter, and all operations by what they are about. */
export function apiPage(document: object): string {
  const { paths } = document as { paths: Record<string, Record<string, Operation>> }
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  )
  const tags = [...new Set(operations.flatMap((operation) => operation.tags))]
  const lines = [
    '# The API',
    '',
    '<!-- Made from openapi.json: UPDATE_DOCS=1 npm test -- test/api/documents -->',
    '',
    `${operations.length} operations. The server shows them with their fields at \`/docs\`; [openapi.json](openapi.json) is`,
    'the same for programs. Lists are bare arrays. Every refusal has the same body: `code` for programs, `message` for',
    'people, `request_id` for whoever reads the log. What defends it all is in [SECURITY.md](SECURITY.md).',
    '',
    '## Ten calls that matter',
    '',
    ...calls.flatMap(([title, command, remark]) => [
      `### ${title}`,
      '',
      '```sh',
      command,
      '```',
      '',
      remark,
      '',
    ]),
    '## All operations',
    '',
    ...tags.flatMap((tag) => [
      `### ${tag}`,
      '',
      '| call | what it does | who may |',
      '| ---- | ------------ | ------- |',
      ...operations
        .filter((operation) => operation.tags.includes(tag))
        .map(
          ({ method, path, summary, 'x-permission': permission }) =>
            `| \`${method} ${path}\` | ${summary.replaceAll('|', '\\|')} | ${who(permission)} |`,
        ),
      '',
    ]),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function who(permission: string): string {
  if (permission === 'public') return 'everybody'
  return permission === 'signed-in' ? 'any signed-in person' : `\`${permission}\``
}
