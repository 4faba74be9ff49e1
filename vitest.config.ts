import { defineConfig } from 'vitest/config'

const exclude = ['dist/**', 'node_modules/**']

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'embedded',
          include: ['test/**/*.test.ts'],
          exclude: [...exclude, 'test/database/postgresql-*.test.ts'],
          globalSetup: ['test/support/embedded-template.ts'],
        },
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
