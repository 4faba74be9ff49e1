import { afterAll, beforeAll, expect, test } from 'vitest'
import { portrait } from '../face/portraits.ts'
import { form, type TestApp, testApp } from '../support/app.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** A call of a client of the older system, in the order of a company's first days. */
interface Call {
  route: `${Method} /${string}`
  path?: string
  body?: () => object | Promise<object>
  status?: number
  /** Keys of the answer, or of its first entry where it is a list; `a.b` is b within a. */
  keys?: string[]
  /** The answer itself is a list, with at least this many entries. */
  entries?: number
}

const employee = ['id', 'employee_id', 'name', 'department', 'email', 'phone', 'position', 'created_at']
const device = [
  'id',
  'device_id',
  'name',
  'location',
  'ip_address',
  'is_active',
  'created_at',
  'last_heartbeat',
  'config',
]
const punch = [
  'id',
  'employee_id',
  'device_id',
  'timestamp',
  'attendance_type',
  'confidence_score',
  'image_path',
  'notes',
]
const template = [
  'image_id',
  'is_primary',
  'created_at',
  'updated_at',
  'created_from',
  'quality_score',
  'confidence_score',
  'match_count',
  'last_matched',
  'avg_match_confidence',
]
const matched = [
  'success',
  'recognized',
  'employee_id',
  'employee_name',
  'confidence',
  'attendance_type',
  'processing_time',
]
const enrolled = ['success', 'message', 'template_id']
const models = ['face_detector', 'anti_spoof', 'face_recognizer']

const face = () => portrait('blonde')

/** Every route of the older system's five routers, its health check, and what their clients read. */
const calls: Call[] = [
  {
    route: 'GET /health',
    keys: [
      ...['status', 'database', 'service', 'active_devices', 'version', 'timestamp'],
      ...['components.database', 'components.ai_models', 'components.active_devices'],
      ...['system_load.cpu_percent', 'system_load.memory_percent', 'system_load.disk_percent'],
    ],
  },
  {
    route: 'POST /api/v1/employees',
    path: '/api/v1/employees/',
    body: () => ({
      name: 'Nguyễn Văn A',
      department: 'IT',
      email: 'a@company.com',
      phone: '0123456789',
      position: 'Developer',
      employee_id: 'EMP_001',
    }),
    status: 201,
    keys: employee,
  },
  { route: 'GET /api/v1/employees', path: '/api/v1/employees/?skip=0&limit=10', keys: employee, entries: 1 },
  { route: 'GET /api/v1/employees/{employee_id}', path: '/api/v1/employees/EMP_001', keys: employee },
  {
    route: 'PUT /api/v1/employees/{employee_id}',
    path: '/api/v1/employees/EMP_001',
    body: () => ({ position: 'Lead' }),
    keys: employee,
  },
  {
    route: 'POST /api/v1/employees/{employee_id}/upload-photo',
    path: '/api/v1/employees/EMP_001/upload-photo',
    body: async () => form({ photo: await face() }),
    keys: enrolled,
  },
  {
    route: 'POST /api/v1/employees/{employee_id}/upload-face',
    path: '/api/v1/employees/EMP_001/upload-face',
    body: async () => form({ file: await face() }),
    keys: enrolled,
  },
  { route: 'GET /api/v1/employees/{employee_id}/photo', path: '/api/v1/employees/EMP_001/photo' },
  {
    route: 'GET /api/v1/employees/{employee_id}/photos',
    path: '/api/v1/employees/EMP_001/photos',
    keys: ['photo_id', 'filename', 'quality_score'],
    entries: 1,
  },
  {
    route: 'GET /api/v1/employees/{employee_id}/templates',
    path: '/api/v1/employees/EMP_001/templates',
    keys: template,
    entries: 1,
  },
  { route: 'GET /api/v1/employees/departments', entries: 1 },
  { route: 'GET /api/v1/employees/stats', keys: ['total_employees'] },
  {
    route: 'POST /api/v1/devices/register',
    body: () => ({
      device_id: 'KIOSK_001',
      name: 'Main Entrance Kiosk',
      location: 'Building A - Floor 1',
      ip_address: '192.168.1.100',
    }),
    status: 201,
    keys: device,
  },
  { route: 'GET /api/v1/devices', path: '/api/v1/devices/', keys: device, entries: 1 },
  {
    route: 'POST /api/v1/devices/heartbeat',
    body: () => ({ device_id: 'KIOSK_001', timestamp: '2025-08-26T10:30:00Z', status: 'online' }),
    keys: ['msg'],
  },
  { route: 'GET /api/v1/devices/{device_id}', path: '/api/v1/devices/1', keys: device },
  {
    route: 'PUT /api/v1/devices/{device_id}',
    path: '/api/v1/devices/1',
    body: () => ({ location: 'Building B' }),
    keys: device,
  },
  {
    route: 'POST /api/v1/attendance/check',
    body: async () => form({ image: await face(), device_id: 'KIOSK_001', attendance_type: 'IN' }),
    keys: matched,
  },
  {
    route: 'POST /api/v1/attendance/upload',
    body: async () =>
      form({
        image: await face(),
        device_id: 'KIOSK_001',
        attendance_type: 'OUT',
        captured_at: '2025-03-03T00:59:00Z',
      }),
    keys: matched,
  },
  {
    route: 'POST /api/v1/attendance/batch',
    body: async () => {
      const data = form({ device_id: 'KIOSK_001', attendance_type: 'IN' })
      for (const name of ['a.jpg', 'b.jpg'])
        data.append('images', new Blob([new Uint8Array(await face())]), name)
      return data
    },
    keys: [...matched, 'filename'],
    entries: 2,
  },
  {
    route: 'GET /api/v1/attendance/history/{device_id}',
    path: '/api/v1/attendance/history/KIOSK_001',
    keys: punch,
    entries: 1,
  },
  {
    route: 'GET /api/v1/attendance/employee/{employee_id}',
    path: '/api/v1/attendance/employee/EMP_001',
    keys: punch,
    entries: 1,
  },
  { route: 'GET /api/v1/attendance', path: '/api/v1/attendance/', keys: punch, entries: 1 },
  {
    route: 'POST /api/v1/recognition/process',
    body: async () => form({ image: await face(), employee_id: 'EMP_001' }),
    keys: ['success', 'face_detected', 'is_real', 'embedding_extracted', 'match_result'],
  },
  {
    route: 'POST /api/v1/recognition/verify',
    body: async () => form({ image: await face(), employee_id: 'EMP_001' }),
    keys: ['success', 'verified', 'employee_id', 'confidence', 'threshold', 'processing_time'],
  },
  {
    route: 'GET /api/v1/recognition/models/status',
    keys: [
      ...models.map((model) => `models_loaded.${model}`),
      ...['total_recognitions', 'avg_processing_time', 'cache_hits', 'last_reset'].map(
        (key) => `performance.${key}`,
      ),
      'cache_size',
    ],
  },
  {
    route: 'POST /api/v1/recognition/train',
    body: () => ({ employee_ids: ['EMP_001'] }),
    keys: ['success', 'trained', 'skipped', 'processing_time'],
  },
  {
    route: 'GET /api/v1/device-management/status',
    keys: [
      ...['devices.total', 'devices.active', 'devices.inactive', 'attendance.today'],
      ...models.map((model) => `ai_models.${model}`),
      'system_health',
      ...['total_employees', 'total_devices', 'active_devices', 'today_attendance', 'total_templates'],
      'avg_confidence',
    ],
  },
  {
    route: 'POST /api/v1/device-management/discover',
    keys: [
      'discovered_devices',
      'total_found',
      ...['ip', 'hostname', 'status', 'last_seen'].map((key) => `discovered_devices.0.${key}`),
    ],
  },
  { route: 'GET /api/v1/device-management/network/scan', entries: 0 },
  {
    route: 'POST /api/v1/device-management/reset/{device_id}',
    path: '/api/v1/device-management/reset/KIOSK_001',
    keys: ['message', 'command_id'],
  },
  {
    route: 'GET /api/v1/device-management/logs/{device_id}',
    path: '/api/v1/device-management/logs/KIOSK_001',
    entries: 0,
  },
  {
    route: 'POST /api/v1/device-management/update/{device_id}',
    path: '/api/v1/device-management/update/KIOSK_001',
    body: () => ({ volume: 5 }),
    keys: ['success', 'message', 'config', 'version'],
  },
  { route: 'DELETE /api/v1/devices/cleanup/deleted', keys: ['message'] },
  {
    route: 'DELETE /api/v1/employees/{employee_id}/photos/{photo_id}',
    path: '/api/v1/employees/EMP_001/photos/1',
    keys: ['message'],
  },
  {
    route: 'DELETE /api/v1/employees/{employee_id}',
    path: '/api/v1/employees/EMP_001',
    keys: ['message', 'deleted_face_templates', 'deleted_attendance_records'],
  },
  {
    route: 'DELETE /api/v1/devices/{device_id}',
    path: '/api/v1/devices/1',
    keys: ['success', 'message', 'action'],
  },
]

let running: TestApp
beforeAll(async () => {
  const network = {
    browse: async () => [
      { type: 'kiosk', hostname: 'gate.local', port: 5000, addresses: ['192.168.1.7'], txt: {} },
    ],
    answers: async () => false,
  }
  const settings = { DISCOVERY: 'true', SCAN_NETWORKS: '192.168.1.0/30', DEVICE_AUTH: 'open' }
  running = await testApp({ network }, settings)
})
afterAll(() => running.close())

/** The keys of `a.b` that are not there. */
function missingKeys(answer: unknown, keys: string[]): string[] {
  return keys.filter((key) => {
    let value = answer
    for (const part of key.split('.')) {
      if (typeof value !== 'object' || value === null || !(part in value)) return true
      value = (value as Record<string, unknown>)[part]
    }
    return false
  })
}

test('the list holds all 37 routes of the older system, each once', () => {
  expect(new Set(calls.map(({ route }) => route)).size).toBe(37)
  expect(calls).toHaveLength(37)
})

// One after the other, in one company: each call needs what those before it left.
test.each(calls)('$route answers what its clients read', async (each) => {
  const [method, pattern = ''] = each.route.split(' ') as [Method, string]
  const payload = await each.body?.()
  // A kiosk reports without a key here, as the older system's kiosks do; everything else is the owner's.
  const headers: Record<string, string> = pattern.endsWith('/heartbeat') ? { authorization: '' } : {}
  const answer = await running.app.inject({
    method,
    url: each.path ?? pattern,
    headers,
    ...(payload && { payload }),
  })
  expect({ status: answer.statusCode, ...(answer.statusCode >= 400 && { body: answer.body }) }).toEqual({
    status: each.status ?? 200,
  })
  if (pattern.endsWith('/photo')) {
    expect(answer.headers['content-type']).toBe('image/jpeg')
    return
  }
  const body = answer.json()
  expect(Array.isArray(body)).toBe(each.entries !== undefined)
  if (each.entries !== undefined) expect(body.length).toBeGreaterThanOrEqual(each.entries)
  if (each.keys) expect(missingKeys(each.entries === undefined ? body : body[0], each.keys)).toEqual([])
})

test('what is not known is said in the keys that clients of the older system read', async () => {
  const stranger = await portrait('frontal')
  const payload = form({ image: stranger, device_id: 'KIOSK_001' })
  const refused = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })
  expect(refused.statusCode).toBeGreaterThanOrEqual(400)
  expect(refused.json()).toMatchObject({
    success: false,
    error: expect.any(String),
    processing_time: expect.any(Number),
  })

  const url = '/api/v1/devices/register'
  await running.app.inject({ method: 'POST', url, payload: { device_id: 'KIOSK_002' } })
  const again = form({ image: stranger, device_id: 'KIOSK_002' })
  const answer = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload: again })
  expect(answer.statusCode).toBe(200)
  expect(answer.json()).toMatchObject({
    success: true,
    recognized: false,
    message: expect.any(String),
    processing_time: expect.any(Number),
  })
})
