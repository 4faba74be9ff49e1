import { defineConfig } from 'vitest/config'

const exclude = ['dist/**', 'node_modules/**']

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'embedded',
          include: ['test/**/*.test.ts'],
          exclude: [...exclude, 'test/database/postgresql-*.test.ts', 'test/web/browser-*.test.ts'],
          globalSetup: ['test/support/embedded-template.ts'],
        },
      },
      {
        extends: true,
        // A real browser on a real server: one at a time is enough for two cores.
        test: { name: 'web', include: ['test/web/browser-*.test.ts'], exclude, fileParallelism: false },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: [
            'test/database/**/*.test.ts',
            'test/ledger/**/*.test.ts',
            'test/api/**/*.test.ts',
            'test/gallery/learn.test.ts',
          ],
          exclude: [...exclude, 'test/database/embedded-*.test.ts'],
          globalSetup: ['test/support/postgres-cluster.ts'],
        },
      },
    ],
  },
})
